// Package quota bounds what one snapshot takes on disk: with a project quota where the file system has them, else by
// keeping the snapshot's tree in a sparse file with a file system of that size.
package quota

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/tree"
	"github.com/lrun-dev/lrun/mount"
)

// Way is how a limit is kept.
type Way string

const (
	// Project is a project quota of the file system that the snapshots lie on: all bytes of the snapshot count.
	Project Way = "project quota"
	// Image is a sparse file that holds an ext4 file system: what that needs for itself counts too.
	Image Way = "image file"
)

// MinSize is the least limit in bytes: below it a file system has no room for more than itself.
const MinSize = 16 << 20

// Limit is how many bytes a snapshot may take. It is part of the snapshot's record. A nil Limit is none.
type Limit struct {
	Size int64 `json:"size"` // bytes
	Way  Way   `json:"way"`
}

// The names beside the tree in a snapshot's directory.
const (
	imageName   = "disk"    // the sparse file
	projectName = "project" // a file that holds the number of the project
)

// Choose returns a limit of size bytes for a snapshot whose directory will be in dir, by the best way that works there. It is
// for files that nobody changes who is privileged in the host's user namespace: the owner of a file could take it out of
// its project (FS_IOC_FSSETXATTR), and out of the limit; for those there is InFile.
// That a project quota works is tried out, with a few small files; merged says that all will be written through overlayfs, which
// makes use of no privilege to go beyond a quota. Less than MinSize is errdefs.ErrInvalidArgument, and it is
// errdefs.ErrNotImplemented when mkfs.ext4 is needed and missing.
func Choose(dir string, size int64, merged bool) (*Limit, error) {
	if size < MinSize {
		return InFile(size) // which refuses it
	}
	if err := tryProject(dir, merged); err == nil {
		return &Limit{Size: size, Way: Project}, nil
	} else if !errors.Is(err, errNoProjects) {
		return nil, fmt.Errorf("try a project quota in %q: %w", dir, err)
	}
	return InFile(size)
}

// InFile is Choose that takes an image file.
func InFile(size int64) (*Limit, error) {
	if size < MinSize {
		return nil, fmt.Errorf("a disk of %d bytes: the least is %d (16m): %w", size, MinSize, errdefs.ErrInvalidArgument)
	}
	if _, err := find(mkfs); err != nil {
		return nil, err
	}
	return &Limit{Size: size, Way: Image}, nil
}

// Make prepares the empty directory base for a snapshot under the limit l and calls fill with the directory in which the
// snapshot's tree is to be made: base, or one that is reachable during the call alone. sync says what is durable when Make
// returns; a volatile snapshot is worth nothing after a crash.
func (l *Limit) Make(ctx context.Context, base string, sync atomicfile.Sync, volatile bool, fill func(home string) error) error {
	switch l.Way {
	case Image:
		return l.makeImage(ctx, base, sync, volatile, fill)
	case Project:
		if err := l.startProject(base); err != nil {
			return err
		}
		if err := fill(base); err != nil {
			return err
		}
		return sync.Filesystem(base)
	}
	return fmt.Errorf("limit the disk by way of %q, which this lrun does not know: %w", l.Way, errdefs.ErrNotImplemented)
}

// Check tells what is missing or damaged of what keeps the limit l, beside the snapshot's tree, whose path is path: an
// errdefs.ErrDataLoss. It mounts nothing and changes nothing.
func (l *Limit) Check(path string) error {
	base := filepath.Dir(path)
	if l.Way == Project {
		return present(filepath.Join(base, projectName), "the number of its project")
	}
	disk := filepath.Join(base, imageName)
	if err := present(disk, "its disk"); err != nil {
		return err
	}
	f, err := os.Open(disk)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err == nil && fi.Size() != l.Size {
		return fmt.Errorf("its disk, %q, has %d bytes, not %d: %w", disk, fi.Size(), l.Size, errdefs.ErrDataLoss)
	}
	const magicAt = 1024 + 0x38 // s_magic of the superblock
	var magic [2]byte
	if _, err := f.ReadAt(magic[:], magicAt); err != nil {
		return err
	}
	if binary.LittleEndian.Uint16(magic[:]) != unix.EXT4_SUPER_MAGIC {
		return fmt.Errorf("its disk, %q, holds no ext4 file system: %w", disk, errdefs.ErrDataLoss)
	}
	return err
}

// present fails when the file path is missing or is no regular file.
func present(path, what string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s, %q, is missing: %w", what, path, errdefs.ErrDataLoss)
	}
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%s, %q, is no file: %w", what, path, errdefs.ErrDataLoss)
	}
	return err
}

// Over is what has to be laid over the snapshot's directory base when its tree is mounted: nil where the tree lies there.
func (l *Limit) Over(base string) *mount.Over {
	if !l.Inside() {
		return nil
	}
	return &mount.Over{Target: base, Open: func() (*os.File, error) { return openImage(base) }}
}

// Inside tells whether the tree lies in an image file.
func (l *Limit) Inside() bool { return l != nil && l.Way == Image }

// OverTree is Over for who knows only path, that of a snapshot's tree. It looks for the file.
func OverTree(path string) (*mount.Over, error) {
	base := filepath.Dir(path)
	_, err := os.Lstat(filepath.Join(base, imageName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return (&Limit{Way: Image}).Over(base), err
}

// FileOf returns the image file that holds the tree whose path is path, "" when the tree lies there itself.
func FileOf(path string) (string, error) {
	over, err := OverTree(path)
	if over == nil {
		return "", err
	}
	return filepath.Join(over.Target, imageName), err
}

// Open opens the tree of a snapshot, whose path is path, wherever it lies, while it is mounted or not. The caller closes it.
func Open(path string) (f *os.File, err error) {
	err = In(path, func(path string) error {
		f, err = os.Open(path)
		return err
	})
	return f, err
}

// In calls fn with a path of a snapshot's tree that holds during the call, wherever the tree lies. path is where it would lie.
func In(path string, fn func(path string) error) error {
	over, err := OverTree(path)
	if err != nil {
		return err
	}
	if over == nil {
		return fn(path)
	}
	f, err := over.Open()
	if err != nil {
		return err
	}
	return errors.Join(fn(inside(f, filepath.Base(path))), f.Close())
}

// Usage counts the bytes on disk and the files of a snapshot with the limit l, whose tree's path is path.
func Usage(ctx context.Context, path string, l *Limit) (size, inodes int64, err error) {
	count := func(path string) error {
		size, inodes, err = tree.Usage(ctx, path)
		return err
	}
	if l.Inside() {
		err = In(path, count)
	} else {
		err = count(path)
	}
	return size, inodes, err
}

// inside is a path in the directory f, whether f is attached somewhere or not.
func inside(f *os.File, name string) string { return fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), name) }

// Reached tells whether err says that a limit, or the disk, left no room.
func Reached(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
