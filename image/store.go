package image

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/image/blob"
)

// Store keeps the images of one root as an OCI image layout.
//
// Methods that change it (Put, Tag, Untag, Drop) must be called with the root's exclusive lock held,
// which the caller takes; the others need no lock, because the index is replaced as a whole.
type Store struct {
	dir   string
	blobs *blob.Store
}

// Open returns the store of the image layout in dir, which is made if it is missing. The manifests
// and configs are in blobs.
func Open(dir string, blobs *blob.Store) (*Store, error) {
	return &Store{dir: dir, blobs: blobs}, nil
}

// List returns all records, sorted as they were put, from index.json alone.
func (s *Store) List(_ context.Context) ([]Record, error) {
	return nil, fmt.Errorf("list images: %w", errdefs.ErrNotImplemented)
}

// Resolve finds the record that nameOrID means.
func (s *Store) Resolve(_ context.Context, nameOrID string) (Record, error) {
	return Record{}, fmt.Errorf("resolve image %q: %w", nameOrID, errdefs.ErrNotImplemented)
}

// Load reads the manifest and the config of rec.
func (s *Store) Load(_ context.Context, rec Record) (Image, error) {
	return Image{}, fmt.Errorf("load image %s: %w", rec.Image, errdefs.ErrNotImplemented)
}

// Put adds or replaces records, all or none.
func (s *Store) Put(_ context.Context, _ ...Record) error {
	return fmt.Errorf("put images: %w", errdefs.ErrNotImplemented)
}

// Tag gives the image of rec the name ref as well.
func (s *Store) Tag(_ context.Context, _ Record, ref Reference) error {
	return fmt.Errorf("tag %s: %w", ref, errdefs.ErrNotImplemented)
}

// Untag takes the name ref away and returns the record that had it. The image stays, dangling if it was its last name.
func (s *Store) Untag(_ context.Context, ref Reference) (Record, error) {
	return Record{}, fmt.Errorf("untag %s: %w", ref, errdefs.ErrNotImplemented)
}

// Drop removes every record of the image id. Its blobs stay: see Blobs.
func (s *Store) Drop(_ context.Context, id digest.Digest) error {
	return fmt.Errorf("drop image %s: %w", id, errdefs.ErrNotImplemented)
}

// Blobs returns the digests of all blobs that index.json reaches, also through entries that other
// tools made: what is not in it may be deleted. It reads every manifest.
func (s *Store) Blobs(_ context.Context) (map[digest.Digest]struct{}, error) {
	return nil, fmt.Errorf("mark blobs: %w", errdefs.ErrNotImplemented)
}
