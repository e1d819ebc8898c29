package layer

import (
	"context"
	"io"
	"os"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

type node struct{}

// Whiteouts writes removals down in a layer's own directory, in the form of the filesystem that will show it.
type Whiteouts interface {
	// Whiteout hides name of the layers below dir. The name does not exist in dir.
	Whiteout(dir *os.File, name string) error
	// Opaque hides all that the layers below have in dir. It may be called twice for one directory.
	Opaque(dir *os.File) error
}

// ApplyOptions says how a layer is unpacked.
type ApplyOptions struct {
	// Whiteouts records removals in dir, which holds this layer alone. When it is nil, dir already holds the tree
	// of the parents, and what a whiteout names is removed from it.
	Whiteouts Whiteouts
}

// Applied is what became of a layer.
type Applied struct {
	// DiffID is the sha256 digest of the whole stream, with everything after the end of the archive.
	DiffID digest.Digest
	// Size is the number of bytes of the regular files written.
	Size int64
	// Entries is the number of tar entries.
	Entries int
	// Needs is what Settle has to do before the layer is complete; empty without ApplyOptions.Whiteouts.
	Needs Needs
}

// Apply unpacks the uncompressed tarStream into dir.
func Apply(ctx context.Context, dir *os.File, tarStream io.Reader, o ApplyOptions) (Applied, error) {
	return Applied{}, errdefs.ErrNotImplemented
}
