package layer

import (
	"context"
	"os"

	"github.com/containerd/errdefs"
)

// Settle joins the layer in dir, unpacked with ApplyOptions.Whiteouts, to its parents.
func Settle(ctx context.Context, dir *os.File, needs Needs, parents *os.File) error {
	return errdefs.ErrNotImplemented
}
