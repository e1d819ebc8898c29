package rootfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/rootfs/chain"
	"github.com/lrun-dev/lrun/snapshot"
)

// Sweep removes what processes that died have left in the stores of this root and driver: ingests,
// half-unpacked layers, blobs and layers that no image needs. What a living process is at work on
// stays. One thing that resists does not stop the rest. It waits for the root's lock only when it
// has found something that may have to go; else it costs a look at every image and every snapshot.
func (s *Store) Sweep(ctx context.Context) error {
	errs := []error{s.Blobs.Sweep(), s.chains.Sweep(ctx)}
	names, digests, err := s.unneeded(ctx)
	if err != nil || len(names) > 0 || len(digests) > 0 || len(s.unfinished()) > 0 {
		// Also after an error: another process may have removed an image while it was read.
		err = s.chains.Locked(ctx, func() error {
			_, err := s.sweepLocked(ctx)
			return err
		})
	}
	errs = append(errs, err, s.Snapshots.Sweep(ctx)) // this deletes the bytes of what was removed, too
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sweep root %q: %w", s.root, err)
	}
	return nil
}

// sweepLocked removes the snapshots and blobs that nothing needs, and returns the ids of bytes to be deleted. The root is
// locked.
func (s *Store) sweepLocked(ctx context.Context) (orphans []string, err error) {
	var errs []error
	for _, path := range s.unfinished() {
		errs = append(errs, os.Remove(path))
	}
	names, digests, err := s.unneeded(ctx)
	if err != nil {
		return nil, errors.Join(append(errs, err)...)
	}
	gone, err := s.removeChains(ctx, names, nil, "")
	errs = append(errs, err)
	for _, d := range digests {
		errs = append(errs, s.Blobs.Remove(d))
	}
	return gone.orphans, errors.Join(errs...)
}

// unfinished returns the versions of the index that were never finished, which only who has the root
// locked writes.
func (s *Store) unfinished() []string {
	dir := filepath.Join(s.root, "images")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // whoever reads the index will say what is wrong
	}
	var paths []string
	for _, e := range entries {
		if atomicfile.IsTemp(e.Name()) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths
}

// unneeded returns the committed snapshots that no image needs, children before parents, and the
// blobs likewise. Snapshots under a container's are among them: removing those fails by itself.
func (s *Store) unneeded(ctx context.Context) (names []string, digests []digest.Digest, err error) {
	m, err := s.mark(ctx)
	if err != nil {
		return nil, nil, err
	}
	needed, err := s.Images.Blobs(ctx)
	if err != nil {
		return nil, nil, err
	}
	err = s.Blobs.Walk(func(d digest.Digest, _ int64) error {
		if _, ok := needed[d]; !ok {
			digests = append(digests, d)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	var errs []error
	names, err = s.committedWhere(ctx, func(info snapshot.Info) bool {
		if m[info.Key] || info.Labels[LabelBuiltIn] != "" {
			return false
		}
		id := info.Labels[chain.LabelSession]
		if id == "" {
			return true
		}
		alive, err := s.chains.Alive(id)
		errs = append(errs, err)
		return !alive && err == nil
	})
	return names, digests, errors.Join(append(errs, err)...)
}
