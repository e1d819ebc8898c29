// Package full explains errors of a file system that has become full.
package full

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/layer"
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

// Layer is one that is, or was to be, unpacked.
type Layer struct {
	Unpacked int64 // how many bytes were
	Blob     int64 // the size of its blob, when it is not unpacked
	Open     func() (io.ReadCloser, error)
}

// Explain adds to err, when it is of a full file system, which one it is, what was free, what is missing, and what to do. layers returns
// all that the task unpacks.
func (r Room) Explain(err error, layers func() []Layer) error {
	what := ""
	switch {
	case errors.Is(err, unix.EDQUOT):
		what = "its quota is used up"
	case !errors.Is(err, unix.ENOSPC):
		return err
	case r.room.Files > 0 && statfs(r.dir).Ffree == 0:
		what = fmt.Sprintf("it has no inode left, %d were free before", r.room.Ffree)
	default:
		what = r.missing(layers())
	}
	return fmt.Errorf("%w (the file system of %q is full: %s; what was unpacked is deleted again: make room there, or choose another --root)", err, r.dir, what)
}

// missing says how much room there was and how much more layers need, as far as their blobs tell.
func (r Room) missing(layers []Layer) string {
	const mb, most = 1e6, 1 << 50
	free := int64(min(r.room.Bfree*uint64(r.room.Bsize), most)) // of which root may take all
	var needed, blobs int64
	left := 0
	for _, l := range layers {
		needed += l.Unpacked
		if l.Open != nil {
			left++
			blobs += l.Blob
			needed = min(needed+min(l.expanded(), most), most)
		}
	}
	more := "more is needed"
	if needed > free {
		more = fmt.Sprintf("by what the blobs say %.1f MB more are needed", float64(needed-free)/mb)
	}
	return fmt.Sprintf("%.1f MB were free before, and %s, with %d layers not unpacked yet that have %.1f MB as blobs",
		float64(free)/mb, more, left, float64(blobs)/mb)
}

// expanded is how many bytes the blob of l says that it holds.
func (l Layer) expanded() int64 {
	blob, err := l.Open()
	if err != nil {
		return l.Blob
	}
	defer func() { _ = blob.Close() }() // it was only read
	if r, ok := blob.(io.ReaderAt); ok {
		return layer.Expanded(r, l.Blob)
	}
	return l.Blob
}
