package runtime

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lrun-dev/lrun/internal/flock"
)

// Claim is the exclusive right to change one container. It is a locked file in the state directory: a
// process that is killed loses the lock but leaves the file, which tells the next command that
// something of this container may be half done.
type Claim struct {
	ID   string
	path string
	lock *flock.Lock
}

func (s *Store) claimPath(id string) string { return filepath.Join(s.state, "active", id) }

// Claim waits until no other process is changing the container id, nor running it in the foreground, or ctx ends.
func (s *Store) Claim(ctx context.Context, id string) (*Claim, error) {
	return s.claim(id, func(path string) (*flock.Lock, error) { return flock.ExclusiveUntil(ctx, path) })
}

// claim makes the file of a claim, locked: without the lock the next sweep would take a container with --rm for one whose lrun was killed.
func (s *Store) claim(id string, take func(path string) (*flock.Lock, error)) (*Claim, error) {
	path := s.claimPath(id)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	lock, err := take(path)
	if err != nil {
		return nil, err
	}
	return &Claim{ID: id, path: path, lock: lock}, nil
}

// tryClaim is Claim that does not wait. It fails with flock.ErrBusy when somebody has the claim and with
// fs.ErrNotExist when nobody left one behind.
func (s *Store) tryClaim(id string) (*Claim, error) {
	path := s.claimPath(id)
	lock, err := flock.TryExclusive(path)
	if err != nil {
		return nil, err
	}
	return &Claim{ID: id, path: path, lock: lock}, nil
}

// Close gives the claim up. Its file goes first: who waits for the lock sees that and makes a new one.
func (c *Claim) Close() error {
	err := os.Remove(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, c.lock.Unlock())
}

// Done gives the claim up after work that ended with err. After an error its file stays, so that the next sweep
// tries again what could not be done now.
func (c *Claim) Done(err error) error {
	if err != nil {
		return errors.Join(err, c.lock.Unlock())
	}
	return c.Close()
}

// Watched tells whether a process has the claim of the container id.
func (s *Store) Watched(id string) bool {
	lock, err := flock.TryExclusive(s.claimPath(id))
	if err == nil {
		_ = lock.Unlock() // the file stays, for the sweep
	}
	return errors.Is(err, flock.ErrBusy)
}
