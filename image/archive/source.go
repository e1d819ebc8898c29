package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/archive/tree"
	"github.com/lrun-dev/lrun/image/blob"
)

// Source is an archive that Read can read, once.
type Source struct {
	name string
	r    io.Reader // of a tar
	dir  *os.File  // of a layout
	file *os.File  // what to close
}

// OpenFile opens the archive at path: a file (or a pipe), or the directory of an OCI layout. The
// caller closes it. What is not there is errdefs.ErrNotFound.
func OpenFile(path string) (*Source, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open archive: %w: %w", err, errdefs.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s := &Source{name: path, file: f}
	if fi.IsDir() {
		s.dir = f
	} else {
		s.r = f
		// Only advice: an archive is read from one end to the other.
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_SEQUENTIAL)
	}
	return s, nil
}

// FromReader returns the archive that r streams, such as standard input; name is what errors call it.
// Closing the source does not close r.
func FromReader(r io.Reader, name string) *Source {
	return &Source{name: name, r: r}
}

// Close closes what OpenFile opened.
func (s *Source) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// files returns the files of the archive. A tar is read to its end for that.
func (s *Source) files(ctx context.Context, in *blob.Ingest) (files, error) {
	if s.dir != nil {
		return tree.NewDirectory(s.dir, in), nil
	}
	return tree.Scan(ctx, s.r, in, map[string]int64{
		indexFile: image.MaxDocument, manifestFile: image.MaxDocument, repositoriesFile: image.MaxDocument,
	})
}
