// Package full explains errors of a file system that has become full.
package full

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Room is what was free in the file system of a directory.
type Room struct {
	dir  string
	room unix.Statfs_t
}

// Look returns what is free for dir now.
func Look(dir string) Room { return Room{dir, statfs(dir)} }

func statfs(dir string) unix.Statfs_t {
	var st unix.Statfs_t
	_ = unix.Statfs(dir, &st) // it only makes a message better
	return st
}

// Explain adds to err, when it is of a full file system, which one it is, what was free, what was left to do, and what to do. left returns how
// many layers were not unpacked, and the size of their blobs.
func (r Room) Explain(err error, left func() (count int, size int64)) error {
	const mb = 1e6
	what := ""
	switch {
	case errors.Is(err, unix.EDQUOT):
		what = "its quota is used up"
	case !errors.Is(err, unix.ENOSPC):
		return err
	case r.room.Files > 0 && statfs(r.dir).Ffree == 0:
		what = fmt.Sprintf("it has no inode left, %d were free before", r.room.Ffree)
	default:
		count, size := left()
		what = fmt.Sprintf("%.1f MB were free before, and more is needed, with %d layers not unpacked yet that have %.1f MB as blobs",
			float64(r.room.Bavail)*float64(r.room.Bsize)/mb, count, float64(size)/mb)
	}
	return fmt.Errorf("%w (the file system of %q is full: %s; what was unpacked is deleted again: make room there, or choose another --root)", err, r.dir, what)
}
