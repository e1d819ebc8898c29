package archive

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
)

// ImportOptions describes the image that Import makes.
type ImportOptions struct {
	Changes  []string       // Dockerfile instructions, one each
	Message  string         // the comment in the history
	Platform image.Platform // zero is the host's
	Created  time.Time      // zero is now
}

// Import makes a one-layer image of a root filesystem tar (plain, gzip or zstd), whose bytes become
// the layer as they are.
func Import(_ context.Context, _ io.Reader, _ *blob.Ingest, _ ImportOptions) (image.Candidate, error) {
	return image.Candidate{}, fmt.Errorf("import: %w", errdefs.ErrNotImplemented)
}
