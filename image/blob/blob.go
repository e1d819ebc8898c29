// Package blob stores bytes under their digest, in the blobs directory of an OCI image layout, and
// takes new ones in through ingests, which verify what is written and publish all or nothing of it.
package blob

import (
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// Store holds blobs. Several processes may use one directory at the same time.
type Store struct {
	layout string // the image layout; blobs are in layout/blobs/<algorithm>/<hex>
	ingest string // one directory per ingest
}

// Open returns the store of the image layout at layoutDir, whose new blobs are written beneath
// ingestDir; both must be on one filesystem. Directories are made when they are first written to.
func Open(layoutDir, ingestDir string) (*Store, error) {
	return &Store{layout: layoutDir, ingest: ingestDir}, nil
}

// Open opens blob d for reading; the caller closes it. It is not verified again: it was when it was
// written. A blob that is not there is errdefs.ErrNotFound.
func (s *Store) Open(d digest.Digest) (*os.File, error) {
	return nil, fmt.Errorf("open blob %s: %w", d, errdefs.ErrNotImplemented)
}

// Has reports whether blob d is there. It costs one stat.
func (s *Store) Has(d digest.Digest) bool {
	_, err := s.Size(d)
	return err == nil
}

// Size returns the number of bytes of blob d. A blob that is not there is errdefs.ErrNotFound.
func (s *Store) Size(d digest.Digest) (int64, error) {
	return 0, fmt.Errorf("stat blob %s: %w", d, errdefs.ErrNotImplemented)
}

// Remove deletes blob d. Removing what is gone is not an error.
func (s *Store) Remove(d digest.Digest) error {
	return fmt.Errorf("remove blob %s: %w", d, errdefs.ErrNotImplemented)
}

// Walk calls fn for every blob with its size in bytes, sorted by digest, until fn returns an error.
func (s *Store) Walk(_ func(d digest.Digest, size int64) error) error {
	return errdefs.ErrNotImplemented
}

// Begin starts an ingest. The caller closes it.
func (s *Store) Begin() (*Ingest, error) {
	return nil, fmt.Errorf("begin ingest: %w", errdefs.ErrNotImplemented)
}

// Sweep removes the ingests of processes that died. It goes on after an error.
func (s *Store) Sweep() error {
	return errdefs.ErrNotImplemented
}
