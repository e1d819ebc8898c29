// Package subvolume makes, freezes and deletes subvolumes of btrfs: directories that can be copied as
// a whole at no cost. It asks the kernel itself and needs no program. Deleting needs CAP_SYS_ADMIN.
package subvolume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// rootInode is the inode number of the top of every subvolume (BTRFS_FIRST_FREE_OBJECTID).
const rootInode = 256

// Supported reports whether path is on btrfs.
func Supported(path string) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return false, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	return st.Type == unix.BTRFS_SUPER_MAGIC, nil
}

// Is reports whether the open directory is the top of a subvolume. On other filesystems it costs one
// fstat(2).
func Is(dir *os.File) bool {
	var st unix.Stat_t
	if unix.Fstat(int(dir.Fd()), &st) != nil || st.Ino != rootInode {
		return false
	}
	var sfs unix.Statfs_t
	return unix.Fstatfs(int(dir.Fd()), &sfs) == nil && sfs.Type == unix.BTRFS_SUPER_MAGIC
}

// Create makes the empty subvolume path, mode 0755 whatever the umask is.
func Create(path string) error {
	return at(path, func(dir *os.File, name string) error {
		var a args
		if err := a.setName(name); err != nil {
			return err
		}
		if err := ioctl(dir, subvolCreate, &a); err != nil {
			return err
		}
		return os.Chmod(path, 0o755)
	})
}

// Snapshot makes path a copy of the subvolume src, which can be written to even if src cannot. It
// costs the same whatever src holds. Subvolumes in src are empty directories in the copy.
func Snapshot(path, src string) error {
	from, err := os.OpenFile(src, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	err = at(path, func(dir *os.File, name string) error {
		a := argsV2{fd: int64(from.Fd())}
		if err := a.setName(name); err != nil {
			return err
		}
		return ioctl(dir, snapCreateV2, &a)
	})
	return errors.Join(err, from.Close())
}

// Copy makes path a writable snapshot of src with all that is in it, and reports whether it has: not where src
// is no subvolume, is on another filesystem than path, or has others in it, which a snapshot would leave out.
func Copy(path, src string) (bool, error) {
	if ok, err := Supported(filepath.Dir(path)); err != nil || !ok {
		return false, err
	}
	if ok, err := whole(src); err != nil || !ok {
		return false, err
	}
	err := Snapshot(path, src)
	if errors.Is(err, unix.EXDEV) {
		return false, nil
	}
	return err == nil, err
}

// whole reports whether a snapshot of dir would have all that is in it.
func whole(dir string) (bool, error) {
	f, err := os.OpenFile(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false, err
	}
	n, ok := 0, Is(f)
	if ok {
		n, err = Nested(f)
	}
	return ok && n == 0, errors.Join(err, f.Close())
}

// SetReadOnly makes the subvolume one that nobody can write to, or one like others again. It is
// durable when SetReadOnly returns.
func SetReadOnly(dir *os.File, readOnly bool) error {
	var flags uint64
	err := ioctl(dir, getFlags, &flags)
	if err == nil && flags&readOnlyFlag != 0 != readOnly {
		flags ^= readOnlyFlag
		err = ioctl(dir, setFlags, &flags)
	}
	if err != nil {
		return &fs.PathError{Op: "change read-only flag of subvolume", Path: dir.Name(), Err: err}
	}
	return nil
}

// Destroy deletes the subvolume name in dir with all that is in it, and all subvolumes that are. What
// is mounted in there is detached, in every mount namespace. The name is gone at once, the bytes later.
func Destroy(dir *os.File, name string) (err error) {
	sub, err := os.OpenFile(filepath.Join(fdPath(dir), name), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sub.Close()) }()
	id, err := idOf(sub)
	if err == nil {
		err = destroyBelow(sub, id)
	}
	if err != nil {
		return &fs.PathError{Op: "destroy subvolumes in", Path: filepath.Join(dir.Name(), name), Err: err}
	}
	var a args
	if err := a.setName(name); err != nil {
		return err
	}
	if err := ioctl(dir, snapDestroy, &a); err != nil {
		return &fs.PathError{Op: "destroy subvolume", Path: filepath.Join(dir.Name(), name), Err: err}
	}
	return nil
}

// Nested reports how many subvolumes lie directly in the subvolume dir, at whatever depth of its tree.
func Nested(dir *os.File) (int, error) {
	id, err := idOf(dir)
	if err != nil {
		return 0, err
	}
	ids, err := children(dir, id)
	return len(ids), err
}

// destroyBelow deletes all subvolumes in that with the given id; fd is any file of the filesystem.
func destroyBelow(f *os.File, id uint64) error {
	ids, err := children(f, id)
	if err != nil {
		return err
	}
	for _, child := range ids {
		if err := destroyBelow(f, child); err != nil {
			return err
		}
		a := argsV2{flags: byID}
		a.setID(child)
		if err := ioctl(f, snapDestroyV2, &a); err != nil {
			return fmt.Errorf("destroy subvolume %d: %w", child, err)
		}
	}
	return nil
}

// at calls fn with the directory that path is in, and its name there.
func at(path string, fn func(dir *os.File, name string) error) error {
	dir, err := os.OpenFile(filepath.Dir(path), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	err = fn(dir, filepath.Base(path))
	if err != nil {
		err = &fs.PathError{Op: "make subvolume", Path: path, Err: err}
	}
	return errors.Join(err, dir.Close())
}

// fdPath is a path of an open directory that stays right when it is renamed.
func fdPath(dir *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", dir.Fd()) }
