package save

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/containerd/errdefs"
)

// WriteFound is Write of entries that find has found. What is missing may have been removed since, so that find is asked again:
// its errdefs.ErrNotFound is the error then, and what it finds is written, once, if nothing was written before. When that is
// too late, and it finds other images, the error is errdefs.ErrConflict.
func WriteFound(ctx context.Context, w io.Writer, blobs Blobs, entries []Entry, find func() ([]Entry, error), o Options) error {
	out := &noted{w: w}
	for again := false; ; again = true {
		err := Write(ctx, out, blobs, entries, o)
		if !errdefs.IsDataLoss(err) && !errdefs.IsNotFound(err) {
			return err
		}
		now, findErr := find()
		switch {
		case errdefs.IsNotFound(findErr):
			return findErr
		case findErr != nil:
			return err
		case !again && !out.written:
			entries = now
		case slices.EqualFunc(entries, now, sameImage):
			return err
		default:
			return fmt.Errorf("an image became another while it was written, save it again: %w", errdefs.ErrConflict)
		}
	}
}

func sameImage(a, b Entry) bool { return a.Image.Manifest.Digest == b.Image.Manifest.Digest }

// noted notes that something was written.
type noted struct {
	w       io.Writer
	written bool
}

func (n *noted) Write(p []byte) (int, error) {
	n.written = true
	return n.w.Write(p)
}
