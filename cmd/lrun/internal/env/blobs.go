package env

import (
	"context"
	"strings"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/rootfs/dropped"
)

// Added does with the blobs of images that were just added what the configuration says. It never fails a command that has
// done its work: a blob that has to stay is named on standard error.
func (e *Env) Added(ctx context.Context, store *rootfs.Store, records []image.Record) {
	c, err := e.Config()
	if err == nil && c.Blobs == DropBlobs && len(records) > 0 {
		err = store.DropBlobs(ctx, dropped.Options{Only: records, Report: e.kept})
	}
	if err != nil {
		e.Notice("blobs are not dropped: %v", err)
	}
}

// kept says why a blob was not dropped, unless it is so small that nobody misses the room.
func (e *Env) kept(o dropped.Outcome) {
	if o.Kept != nil && !o.Small {
		e.Notice("the blob %s (%s) is not dropped: %v", format.ShortID(o.Blob.String()), strings.Join(o.Images, ", "), o.Kept)
	}
}
