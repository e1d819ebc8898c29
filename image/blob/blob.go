// Package blob stores bytes under their digest, in the blobs directory of an OCI image layout, and
// takes new ones in through ingests, which verify what is written and publish all or nothing of it.
package blob

import (
	_ "crypto/sha256" // the algorithms of the OCI image specification, for go-digest
	_ "crypto/sha512"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/internal/gc"
)

// Store holds blobs. Several processes may use one directory at the same time, and several
// goroutines one Store.
type Store struct {
	layout string // the image layout; blobs are in layout/blobs/<algorithm>/<hex>
	ingest string // one directory per ingest
	sync   atomicfile.Sync
}

// Open returns the store of the image layout at layoutDir, whose new blobs are written beneath
// ingestDir; both must be on one filesystem. It touches no disk: directories are made when something
// is first written to them.
func Open(layoutDir, ingestDir string) (*Store, error) {
	if layoutDir == "" || ingestDir == "" {
		return nil, fmt.Errorf("open blob store: no directory given: %w", errdefs.ErrInvalidArgument)
	}
	return &Store{layout: filepath.Clean(layoutDir), ingest: filepath.Clean(ingestDir)}, nil
}

// WithSync returns a store of the same blobs that, with atomicfile.Volatile, syncs nothing, whatever its methods promise
// to be durable.
func (s *Store) WithSync(sync atomicfile.Sync) *Store {
	c := *s
	c.sync = sync
	return &c
}

// Sync tells whether the store syncs what has to be durable. Who writes to the same layout does as it does.
func (s *Store) Sync() atomicfile.Sync { return s.sync }

// Open opens blob d for reading; the caller closes it. It is not verified again: it was when it was
// written. A blob that is not there is errdefs.ErrNotFound, a malformed digest errdefs.ErrInvalidArgument.
func (s *Store) Open(d digest.Digest) (*os.File, error) {
	path, err := s.path(d)
	if err != nil {
		return nil, fmt.Errorf("open blob %q: %w", d, err)
	}
	return open(path, d)
}

// Has reports whether blob d is there. It costs one stat.
func (s *Store) Has(d digest.Digest) bool {
	_, err := s.Size(d)
	return err == nil
}

// Size returns the number of bytes of blob d. A blob that is not there is errdefs.ErrNotFound.
func (s *Store) Size(d digest.Digest) (int64, error) {
	path, err := s.path(d)
	if err != nil {
		return 0, fmt.Errorf("stat blob %q: %w", d, err)
	}
	fi, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, fmt.Errorf("stat blob %s: %w", d, errdefs.ErrNotFound)
	case err != nil:
		return 0, err
	}
	return fi.Size(), nil
}

// Remove deletes blob d. Removing what is gone is not an error. The removal is not synced: what comes
// back after a power loss is a blob that nothing names.
func (s *Store) Remove(d digest.Digest) error {
	path, err := s.path(d)
	if err != nil {
		return fmt.Errorf("remove blob %q: %w", d, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Walk calls fn for every blob with its size in bytes, in the order of their digests, until fn
// returns an error, which Walk returns. A blob that vanishes meanwhile is skipped, and so is a file
// whose name is no digest.
func (s *Store) Walk(fn func(d digest.Digest, size int64) error) error {
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
		if err := walk(filepath.Join(s.layout, "blobs", alg.String()), alg, fn); err != nil {
			return err
		}
	}
	return nil
}

func walk(dir string, alg digest.Algorithm, fn func(d digest.Digest, size int64) error) error {
	entries, err := readDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		d := digest.NewDigestFromEncoded(alg, e.Name())
		if d.Validate() != nil {
			continue
		}
		fi, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := fn(d, fi.Size()); err != nil {
			return err
		}
	}
	return nil
}

// Begin starts an ingest in a directory of its own, which is locked until the caller closes the
// ingest: that is how Sweep tells a living one.
func (s *Store) Begin() (*Ingest, error) {
	if err := os.MkdirAll(s.ingest, 0o700); err != nil {
		return nil, fmt.Errorf("begin ingest: %w", err)
	}
	for {
		dir, err := os.MkdirTemp(s.ingest, "")
		if err != nil {
			return nil, fmt.Errorf("begin ingest: %w", err)
		}
		l, err := flock.TryExclusive(dir)
		if errors.Is(err, flock.ErrBusy) || errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(dir) // a sweep was faster, or somebody who asks whether it is of a living process
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("begin ingest: %w", errors.Join(err, os.Remove(dir)))
		}
		return &Ingest{store: s, dir: dir, lock: l, blobs: map[digest.Digest]*file{}}, nil
	}
}

// Sweep removes the ingests of processes that died, and blobs that Keep has kept for a day; those of living ones stay. It goes on
// after an error and returns all of them joined.
func (s *Store) Sweep() error {
	entries, err := readDir(s.ingest)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if e.Name() == KeptDir {
			errs = append(errs, s.sweepKept())
			continue
		}
		if _, err := sweep(filepath.Join(s.ingest, e.Name())); err != nil {
			errs = append(errs, fmt.Errorf("sweep ingest: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Graph adds the ingests to g. Those of processes that died stay for nothing. What Keep has kept stays.
func (s *Store) Graph(g *gc.Graph) error {
	entries, err := readDir(s.ingest)
	errs := []error{err, s.eachKept(func(d digest.Digest, path string, fi fs.FileInfo) error {
		g.Add(gc.Node{ID: gc.ID{Kind: gc.KeptBlob, Name: d.String()}, Paths: []string{path}, Kept: !s.expired(d, fi)})
		return nil
	})}
	for _, e := range entries {
		if e.Name() == KeptDir {
			continue
		}
		path := filepath.Join(s.ingest, e.Name())
		l, err := flock.TryExclusive(path)
		busy := errors.Is(err, flock.ErrBusy)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err == nil:
			errs = append(errs, l.Unlock())
		case !busy:
			errs = append(errs, err)
		}
		g.Add(gc.Node{ID: gc.ID{Kind: gc.Staging, Name: path}, Paths: []string{path}, Kept: busy})
	}
	return errors.Join(errs...)
}

// sweep removes the ingest at dir unless it is of a living process.
func sweep(dir string) (swept bool, err error) {
	l, err := flock.TryExclusive(dir)
	if errors.Is(err, flock.ErrBusy) || errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, errors.Join(os.RemoveAll(dir), l.Unlock())
}

// Path returns the file of blob d, whether it is there or not. A malformed digest is errdefs.ErrInvalidArgument.
func (s *Store) Path(d digest.Digest) (string, error) { return s.path(d) }

// path returns the file of blob d. Validation keeps d from naming anything else: what it lets pass
// holds no slash and no dot.
func (s *Store) path(d digest.Digest) (string, error) {
	if err := Validate(d); err != nil {
		return "", err
	}
	return filepath.Join(s.layout, "blobs", d.Algorithm().String(), d.Encoded()), nil
}

// Validate returns an error that is errdefs.ErrInvalidArgument unless d is a well-formed digest of
// an algorithm that can be computed: sha256, sha384 or sha512.
func Validate(d digest.Digest) error {
	if isSHA256(d) {
		return nil // as Validate below would find out, with regular expressions
	}
	if err := d.Validate(); err != nil {
		return fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	return nil
}

func isSHA256(d digest.Digest) bool {
	hex, ok := strings.CutPrefix(string(d), "sha256:")
	if !ok || len(hex) != 64 {
		return false
	}
	for i := range len(hex) {
		if c := hex[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// open opens the file of blob d at path.
func open(path string, d digest.Digest) (*os.File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open blob %s: %w", d, errdefs.ErrNotFound)
	}
	return f, err
}

// readDir is os.ReadDir, and empty for a directory that does not exist.
func readDir(dir string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}
