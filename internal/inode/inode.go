// Package inode makes, reads and describes single files of a tree that somebody else filled. A file is named by the
// descriptor of its directory and one component of a name, never by a path, and no symbolic link is followed.
package inode

import (
	"errors"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// OpenDir opens the directory name for reading. A link to a directory is ENOTDIR. The caller closes the descriptor.
func OpenDir(at int, name string) (int, error) {
	return OpenAt(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
}

// OpenPath opens any kind of file (O_PATH) just to name it: nothing blocks and no driver is called. The caller closes
// the descriptor.
func OpenPath(at int, name string) (int, error) {
	return OpenAt(at, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
}

// OpenAt is openat(2) with O_CLOEXEC, repeated when a signal interrupts it. The caller adds O_NOFOLLOW.
func OpenAt(at int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(at, name, flags|unix.O_CLOEXEC, mode)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// Stat returns the status of name itself.
func Stat(at int, name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(at, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, err
}

// Fstat returns the status of what fd is open on; O_PATH will do.
func Fstat(fd int) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return st, err
}

// IsType reports that st is of the type typ, one of the S_IF constants.
func IsType(st unix.Stat_t, typ uint32) bool { return st.Mode&unix.S_IFMT == typ }

// ID tells whether two names are one file.
type ID struct{ Dev, Ino uint64 }

// IDOf returns the identity of the file with the status st.
func IDOf(st unix.Stat_t) ID { return ID{st.Dev, st.Ino} }

// Readlink returns the target of the symbolic link name, or of the one that at is open on when name is "".
func Readlink(at int, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(at, name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// Names returns the entries of a directory, sorted by their bytes. The offset of dir stays as it is.
func Names(dir int) ([]string, error) {
	fd, err := OpenDir(dir, ".")
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), ".")
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// RemoveTree removes name, and if it is a directory all that is in it, holding a descriptor for each level. What is
// not there is removed already.
func RemoveTree(at int, name string) error {
	err := unix.Unlinkat(at, name, 0)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if !errors.Is(err, unix.EISDIR) {
		return err
	}
	dir, err := OpenDir(at, name)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	names, err := Names(dir)
	if err != nil {
		return err
	}
	for _, child := range names {
		if err := RemoveTree(dir, child); err != nil {
			return err
		}
	}
	return unix.Unlinkat(at, name, unix.AT_REMOVEDIR)
}

// KeepTime runs do, which changes the entries of dir, and puts back dir's modification time.
func KeepTime(dir int, do func() error) error {
	st, err := Fstat(dir)
	if err != nil {
		return err
	}
	return errors.Join(do(), SetTime(dir, ".", st.Mtim))
}

// SetTime sets both times of name itself, in nanoseconds.
func SetTime(at int, name string, t unix.Timespec) error {
	return unix.UtimesNanoAt(at, name, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
}

// Path names the entry name of the directory at, for calls that take nothing but a path and do not follow links. It
// is good as long as at is open.
func Path(at int, name string) string { return procPath(at) + "/" + name }

// procPath names what fd refers to, also when fd is of O_PATH or of a symbolic link: the calls for xattrs have no
// form that takes such a descriptor before Linux 6.13.
func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
