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
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/flock"
)

// claim is a record on its way: a file in staging/ that its maker holds locked. As long as it lives
// nobody sweeps the bytes of its id and nobody removes its parent.
type claim struct{ f *os.File }

// claim writes r down. The store is locked. A name that another living process claims is
// errdefs.ErrFailedPrecondition; what a dead one left is taken over.
func (s *Store) claim(name string, r *record) (*claim, error) {
	content, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(s.dir, "staging", name+suffix), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("snapshot %q is being committed: %w", string(r.Key), errdefs.ErrFailedPrecondition), f.Close())
	} else if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %q: %w", f.Name(), err), f.Close())
	}
	if err := errors.Join(empty(f), write(f, content)); err != nil {
		return nil, errors.Join(err, (&claim{f}).abandon())
	}
	return &claim{f}, nil
}

// empty cuts what a dead process has left in f. A file that is empty already is left alone: ext4 writes the bytes of one
// that was cut when it is closed.
func empty(f *os.File) error {
	fi, err := f.Stat()
	if err != nil || fi.Size() == 0 {
		return err
	}
	return f.Truncate(0)
}

// write writes all of content.
func write(f *os.File, content []byte) error {
	_, err := f.Write(content)
	return err
}

// publish gives the claim the name path, and ends it. The store is locked.
func (c *claim) publish(path string) error {
	if err := os.Rename(c.f.Name(), path); err != nil {
		return err
	}
	return c.f.Close()
}

// abandon removes the claim after a failure. After publish it does nothing. The store is locked, lest
// another process opens the file just before it goes and then locks nothing.
func (c *claim) abandon() error {
	if c.f.Fd() == ^uintptr(0) { // published
		return nil
	}
	return errors.Join(os.Remove(c.f.Name()), c.f.Close())
}

// drop is abandon for who has not locked the store. If it cannot be locked, the claim is at least nobody's any more, and the
// next sweep takes it.
func (s *Store) drop(c *claim) error {
	defer c.f.Close() // once more, where abandon was called
	return s.locked(c.abandon)
}

// unclaimed fails when a living process is committing r. The store is locked.
func (s *Store) unclaimed(r *record) error {
	l, err := flock.TryExclusive(filepath.Join(s.dir, "staging", r.ID+suffix))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, flock.ErrBusy):
		return fmt.Errorf("snapshot %q is being committed: %w", string(r.Key), errdefs.ErrFailedPrecondition)
	case err != nil:
		return err
	}
	return l.Unlock() // left by a dead one: for the sweep
}

// claims calls fn for each claim whose maker lives, and stale with the path of each other. The store is locked.
func (s *Store) claims(fn func(*record), stale func(path string)) error {
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
			r, err := parse(path)
			if errors.Is(err, errNoRecord) {
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
