// Package claim is the file that says what snapshot a process is making.
package claim

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/flock"
)

// Claim is a record on its way: a file in staging/ that its maker holds locked. As long as it lives
// nobody sweeps the bytes of its id and nobody removes its parent. The store is locked for each call.
type Claim struct{ File *os.File }

// Take writes content to the file path. One that another living process has is flock.ErrBusy; what a dead one left is taken over.
func Take(path string, content []byte) (*Claim, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(flock.ErrBusy, f.Close())
	} else if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %q: %w", f.Name(), err), f.Close())
	}
	if err := errors.Join(empty(f), write(f, content)); err != nil {
		return nil, errors.Join(err, (&Claim{f}).Abandon())
	}
	return &Claim{f}, nil
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

// Publish gives the claim the name path, and ends it.
func (c *Claim) Publish(path string) error {
	if err := os.Rename(c.File.Name(), path); err != nil {
		return err
	}
	return c.File.Close()
}

// Abandon removes the claim after a failure. After Publish it does nothing. The store is locked, lest
// another process opens the file just before it goes and then locks nothing.
func (c *Claim) Abandon() error {
	if c.File.Fd() == ^uintptr(0) { // published
		return nil
	}
	return errors.Join(os.Remove(c.File.Name()), c.File.Close())
}
