package layer

import (
	"context"
	"io"
	"os"

	"github.com/containerd/errdefs"
)

// TarOptions says what WriteTar writes.
type TarOptions struct {
	// Skip, when set, is asked for every name, relative to the root and without a leading slash; what it answers
	// true for is left out, a directory with all that it holds.
	Skip func(name string) bool
}

// WriteTar writes the tree in dir.
func WriteTar(ctx context.Context, w io.Writer, dir *os.File, o TarOptions) error {
	return errdefs.ErrNotImplemented
}
