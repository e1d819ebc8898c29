package tree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/internal/inroot"
)

// Directory is a tree on disk. Symlinks in it are resolved as if it were the root of the filesystem.
type Directory struct {
	root *os.File
	in   *blob.Ingest
}

// NewDirectory returns the tree in the directory root, which stays the caller's and must stay open.
// What is taken from it goes into in.
func NewDirectory(root *os.File, in *blob.Ingest) *Directory { return &Directory{root: root, in: in} }

// Read returns the content of the regular file name. A file that is not there is errdefs.ErrNotFound,
// one of more than limit bytes errdefs.ErrInvalidArgument.
func (d *Directory) Read(name string, limit int64) ([]byte, error) {
	b, err := inroot.ReadFile(d.root, name, limit)
	return b, classify(name, err)
}

// Take copies the regular file name into the ingest and returns it as a blob, verified against want, as
// blob.Ingest.Write does; without a digest in want nothing is known beforehand. A file that is not
// there is errdefs.ErrNotFound.
func (d *Directory) Take(ctx context.Context, name string, want ocispec.Descriptor) (ocispec.Descriptor, error) {
	f, err := d.open(name)
	if err != nil {
		return want, err
	}
	if want.Digest == "" {
		want.Digest, want.Size, err = d.in.WriteUnknown(ctx, -1, f)
	} else {
		err = d.in.Write(ctx, want, f)
	}
	return want, errors.Join(err, f.Close())
}

// open opens the regular file name. A FIFO must not block it.
func (d *Directory) open(name string) (*os.File, error) {
	f, err := inroot.Open(d.root, name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, classify(name, err)
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("it is not a regular file: %w", errdefs.ErrInvalidArgument)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// classify gives errors of opening name their class.
func classify(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("open %s: %w", name, errdefs.ErrNotFound)
	case errors.Is(err, unix.ELOOP):
		return fmt.Errorf("open %s: %w: %w", name, err, errdefs.ErrInvalidArgument)
	}
	return err
}
