package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/snapshot/claim"
	"github.com/lrun-dev/lrun/snapshot/record"
)

// claim writes r down. The store is locked. A name that another living process claims is
// errdefs.ErrFailedPrecondition; what a dead one left is taken over.
func (s *Store) claim(name string, r *record.Record) (*claim.Claim, error) {
	content, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	c, err := claim.Take(filepath.Join(s.dir, "staging", name+suffix), content)
	if errors.Is(err, flock.ErrBusy) {
		return nil, beingCommitted(r)
	}
	return c, err
}

// beingCommitted says that a living process has the claim of r.
func beingCommitted(r *record.Record) error {
	return fmt.Errorf("snapshot %q is being committed: %w", string(r.Key), errdefs.ErrFailedPrecondition)
}

// drop is Abandon for who has not locked the store. If it cannot be locked, the claim is at least nobody's any more, and the
// next sweep takes it.
func (s *Store) drop(c *claim.Claim) error {
	defer c.File.Close() // once more, where Abandon was called
	return s.locked(c.Abandon)
}

// unclaimed fails when a living process is committing r. The store is locked.
func (s *Store) unclaimed(r *record.Record) error {
	l, err := flock.TryExclusive(filepath.Join(s.dir, "staging", r.ID+suffix))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, flock.ErrBusy):
		return beingCommitted(r)
	case err != nil:
		return err
	}
	return l.Unlock() // left by a dead one: for the sweep
}

// claims calls fn for each claim whose maker lives, and stale with the path of each other. The store is locked.
func (s *Store) claims(fn func(*record.Record), stale func(path string)) error {
	dir := filepath.Join(s.dir, "staging")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), suffix) {
			continue // a directory that is being deleted
		}
		path := filepath.Join(dir, e.Name())
		l, err := flock.TryExclusive(path)
		switch {
		case errors.Is(err, flock.ErrBusy):
			r, err := record.Read(path)
			if errors.Is(err, record.ErrNone) {
				continue // dropped just now
			}
			if err != nil {
				return err
			}
			fn(r)
		case err == nil:
			stale(path)
			if err := l.Unlock(); err != nil {
				return err
			}
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return nil
}
