// Package archive reads images out of archives: docker-archives of every age, OCI archives, and OCI
// layouts in a directory; and it makes an image of a root filesystem tar.
package archive

import (
	"context"
	"fmt"
	"io"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
)

// Options says what to take out of an archive.
type Options struct {
	// Platform chooses among the platforms of an image; zero is the host's.
	Platform image.Platform
}

// Read finds every image of an archive, writes their blobs into in, which should be new, and returns them.
func Read(_ context.Context, _ *Source, _ *blob.Ingest, _ Options) ([]image.Candidate, error) {
	return nil, fmt.Errorf("read archive: %w", errdefs.ErrNotImplemented)
}

// Source is an archive that has not been read yet.
type Source struct {
	r io.Reader
}

// OpenFile opens the archive at path: a file, or the directory of an OCI layout. The caller closes it.
func OpenFile(path string) (*Source, error) {
	return nil, fmt.Errorf("open %q: %w", path, errdefs.ErrNotImplemented)
}

// FromReader returns the archive that r streams; name is what errors call it. Closing it does not close r.
func FromReader(r io.Reader, _ string) *Source {
	return &Source{r: r}
}

// Close closes what OpenFile opened.
func (s *Source) Close() error { return nil }
