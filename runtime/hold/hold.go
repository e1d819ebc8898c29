// Package hold keeps the processes of a container still for a moment, such as that of a commit, and lets them go on
// even if lrun is killed meanwhile.
package hold

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/runtime/cgroup"
)

// dir is the directory below the state directory that has a file for each container that is held.
const dir = "frozen"

// Freeze freezes the group of the container id, which open opens, and returns what lets it go on. A file below the directory
// state is locked meanwhile: one that is not says that lrun was killed. Who else wants to freeze the same container waits. A
// group that is gone is no error, for its container has ended.
func Freeze(state, id string, open func(id string) (*cgroup.Group, error)) (thaw func() error, err error) {
	group, err := open(id)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(state, dir), 0o700); err != nil {
		return nil, err
	}
	lock, err := flock.Exclusive(filepath.Join(state, dir, id))
	if err != nil {
		return nil, err
	}
	end := func() error { return errors.Join(os.Remove(lock.File().Name()), lock.Unlock()) }
	if err := group.Freeze(); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) {
		return nil, errors.Join(err, end())
	}
	return func() error { return errors.Join(group.Thaw(), end()) }, nil
}

// Sweep lets containers go on that a killed lrun froze. open opens the group of a container.
func Sweep(state string, open func(id string) (*cgroup.Group, error)) error {
	entries, err := os.ReadDir(filepath.Join(state, dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		lock, err := flock.TryExclusive(filepath.Join(state, dir, e.Name()))
		if errors.Is(err, flock.ErrBusy) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		g, err := open(e.Name())
		if err == nil {
			err = g.Thaw()
		}
		if err == nil {
			err = os.Remove(lock.File().Name())
		}
		errs = append(errs, err, lock.Unlock())
	}
	return errors.Join(errs...)
}
