// Package dropped stands in for the blobs of layers that are not kept: it makes the split data of a layer (package
// layer/split) beside its files, and puts the tar together again out of the two. A blob that is not there, while the split
// data of its layer is, was dropped; there is no other record of it.
package dropped

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/layer/split"
	"github.com/lrun-dev/lrun/snapshot"
)

// Store drops blobs of one root, and replaces them, whichever drivers have unpacked the layers.
type Store struct {
	root   string
	images *image.Store
	blobs  *blob.Store
}

// New returns the store for the given root. It touches no disk.
func New(root string, images *image.Store, blobs *blob.Store) *Store {
	return &Store{root: root, images: images, blobs: blobs}
}

// place is where one driver has a layer: data/ID.
type place struct{ dir string }

func (p place) split() string    { return filepath.Join(p.dir, split.FileName) }
func (p place) manifest() string { return filepath.Join(p.dir, "manifest") }
func (p place) files() string    { return filepath.Join(p.dir, "fs") }

// has tells whether there is split data. It does not look into it.
func (p place) has() bool {
	_, err := os.Lstat(p.split())
	return err == nil
}

// taken is how many bytes the split data takes on disk; 0 when there is none.
func (p place) taken() int64 {
	var st unix.Stat_t
	if unix.Lstat(p.split(), &st) != nil {
		return 0
	}
	return st.Blocks * blockSize
}

// places returns where the layer with the ChainID chain is unpacked.
func (s *Store) places(ctx context.Context, chain string) ([]place, error) {
	dirs, err := filepath.Glob(filepath.Join(escaped(s.root), "snapshots", "*", "records"))
	if err != nil {
		return nil, err
	}
	var found []place
	for _, records := range dirs {
		dir := filepath.Dir(records)
		snapshots, err := snapshot.Open(dir, nil) // it is only asked what it has
		if err != nil {
			return nil, err
		}
		manifest, err := snapshots.ManifestPath(ctx, chain)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, place{filepath.Dir(manifest)})
	}
	return found, nil
}

// Dropped tells that the blob of a layer of im (0 is the bottom) may be missing: there is split data in its place. It costs
// a look at one record for each driver, and does not look into the data.
func (s *Store) Dropped(ctx context.Context, im image.Image, layer int) (bool, error) {
	p, err := s.find(ctx, im, layer)
	return p.dir != "", err
}

// find returns the first place with split data of the layer; the zero place when there is none.
func (s *Store) find(ctx context.Context, im image.Image, layer int) (place, error) {
	all, err := s.places(ctx, im.ChainIDs()[layer].String())
	if err != nil {
		return place{}, fmt.Errorf("find layer %s: %w", im.ChainIDs()[layer], err)
	}
	for _, p := range all {
		if p.has() {
			return p, nil
		}
	}
	return place{}, nil
}

// Open opens a layer of im as it is stored, compressed or not, or, when its blob was dropped, its tar. The caller closes it.
// When there is neither it is errdefs.ErrNotFound. What is wrong with the files that the tar is put together of is
// errdefs.ErrDataLoss, of Read too.
func (s *Store) Open(ctx context.Context, im image.Image, layer int) (io.ReadCloser, error) {
	f, err := s.blobs.Open(im.Layers[layer].Digest)
	if !errdefs.IsNotFound(err) {
		return f, err
	}
	t, tarErr := s.Tar(ctx, im, layer)
	if errdefs.IsNotFound(tarErr) {
		return nil, err
	}
	if tarErr != nil {
		return nil, tarErr
	}
	stream, err := t.Open(ctx)
	return &together{stream}, err
}

// together is a tar that is put together, and says so when that fails.
type together struct{ *split.Tar }

func (t *together) Read(p []byte) (int, error) {
	n, err := t.Tar.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("its blob was dropped, and cannot be made again: %w", err)
	}
	return n, err
}

// Blob opens a blob. One that is not there is errdefs.ErrNotFound.
func (s *Store) Blob(d digest.Digest) (*os.File, error) { return s.blobs.Open(d) }

// Tar returns the tar of a layer of im, to be put together of split data, which is read once to its end, and files. When there
// is no split data it is errdefs.ErrNotFound.
func (s *Store) Tar(ctx context.Context, im image.Image, layer int) (split.Source, error) {
	p, err := s.find(ctx, im, layer)
	want := im.Config.RootFS.DiffIDs[layer]
	if err == nil && p.dir == "" {
		err = fmt.Errorf("tar-split data of layer %s: %w", want, errdefs.ErrNotFound)
	}
	if err != nil {
		return split.Source{}, err
	}
	t, err := split.NewSource(ctx, p.split(), p.files())
	if err == nil && t.DiffID != want {
		err = fmt.Errorf("%q is of layer %s, not %s: %w", p.split(), t.DiffID, want, errdefs.ErrDataLoss)
	}
	return t, lost(err)
}

// lost says of an error of what was there a moment ago that it is lost.
func lost(err error) error {
	if errdefs.IsNotFound(err) {
		return fmt.Errorf("%s: %w", err.Error(), errdefs.ErrDataLoss)
	}
	return err
}

// escaped is path without a meaning for filepath.Glob.
func escaped(path string) string {
	var b []byte
	for i := range len(path) {
		switch path[i] {
		case '*', '?', '[', '\\':
			b = append(b, '\\')
		}
		b = append(b, path[i])
	}
	return string(b)
}
