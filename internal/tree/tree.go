// Package tree removes, counts and copies directory trees by descriptor: it follows no symbolic
// link, crosses no mount point, and needs no path to be short.
package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// batch is how many names of a directory are held at once while it is emptied.
const batch = 1024

// errMounted is the answer wherever a mount begins.
var errMounted = fmt.Errorf("something is mounted there: %w", errdefs.ErrFailedPrecondition)

// openDir opens the directory name in dir, which may not be a symbolic link or a mount point.
func openDir(dir *os.File, name string) (*os.File, error) {
	fd, err := unix.Openat2(int(dir.Fd()), name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	path := dir.Name() + "/" + name
	if errors.Is(err, unix.EXDEV) {
		err = errMounted
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openTop opens the directory at path.
func openTop(path string) (*os.File, error) {
	return os.OpenFile(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_NOATIME, 0)
}

// entryError is the error of op on name in dir.
func entryError(op string, dir *os.File, name string, err error) error {
	return &fs.PathError{Op: op, Path: dir.Name() + "/" + name, Err: err}
}

// inode is what tells files apart. In one mount there are several devices when subvolumes are in it,
// and each of those counts its inodes from the same number.
type inode struct{ dev, ino uint64 }

func inodeOf(st *unix.Stat_t) inode { return inode{st.Dev, st.Ino} }
