// Package idpool gives each container that asks for it a range of user and group ids of its own.
package idpool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/flock"
)

// Size is how many ids a range has: as many as 16 bits count, which every image expects.
const Size = 1 << 16

// Pool records in a directory who has which range. A range is a symbolic link, named for the first of its ids, to its
// holder: making it is one step that cannot be done twice nor by halves.
type Pool struct{ dir string }

// Open returns the pool of a directory, which is made when something is taken.
func Open(dir string) Pool { return Pool{dir} }

// Take gives holder, a container's id, a range that nobody of this pool has, and returns the first of its ids, which are
// taken from what /etc/subuid and /etc/subgid give to the user "containers", or from 0x70000000 to 0x7ffdffff. A pool with
// nothing left is errdefs.ErrFailedPrecondition.
func (p Pool) Take(holder string) (uint32, error) {
	ids, err := idsOf("/etc/subuid", "/etc/subgid")
	if err != nil {
		return 0, err
	}
	return p.takeOf(ids, holder)
}

func (p Pool) takeOf(ids extents, holder string) (uint32, error) {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return 0, err
	}
	// Where to begin depends on the holder: those of another pool most likely begin elsewhere.
	seed, err := strconv.ParseUint(holder[:8], 16, 64)
	if err != nil {
		return 0, err
	}
	n := ids.count()
	for i := range n {
		start := ids.at((seed + i) % n)
		if err := os.Symlink(holder, p.path(start)); !errors.Is(err, fs.ErrExist) {
			return start, err
		}
	}
	return 0, fmt.Errorf("all %d ranges of ids are taken; remove containers, or give the user %q more in /etc/subuid and /etc/subgid: %w",
		n, poolUser, errdefs.ErrFailedPrecondition)
}

// Retake records a range that holder has by its own record, should a loss of power have taken that.
func (p Pool) Retake(start uint32, holder string) error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	if err := os.Symlink(holder, p.path(start)); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Drop frees the range that begins with start if holder has it.
func (p Pool) Drop(start uint32, holder string) error {
	if _, err := os.Lstat(p.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lock, err := flock.Exclusive(p.dir) // two that drop the same range must not drop that of who takes it between them
	if err != nil {
		return err
	}
	if has, err := os.Readlink(p.path(start)); err == nil && has == holder {
		return errors.Join(os.Remove(p.path(start)), lock.Unlock())
	}
	return lock.Unlock()
}

// DropOf frees every range whose holder is gone. It reads them all.
func (p Pool) DropOf(gone func(holder string) bool) error {
	entries, err := os.ReadDir(p.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		start, notRange := strconv.ParseUint(e.Name(), 10, 32)
		holder, notLink := os.Readlink(filepath.Join(p.dir, e.Name()))
		if notRange == nil && notLink == nil && gone(holder) {
			errs = append(errs, p.Drop(uint32(start), holder))
		}
	}
	return errors.Join(errs...)
}

func (p Pool) path(start uint32) string {
	return filepath.Join(p.dir, strconv.FormatUint(uint64(start), 10))
}
