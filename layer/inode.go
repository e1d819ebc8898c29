package layer

import (
	"errors"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// The functions of this file take a directory's descriptor and the name of one entry of it, never a path, and follow
// no link.

func openDir(at int, name string) (int, error) {
	return openAt(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
}

// openPath opens any kind of file just to name it: nothing blocks and no driver is called.
func openPath(at int, name string) (int, error) {
	return openAt(at, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
}

func openAt(at int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(at, name, flags|unix.O_CLOEXEC, mode)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

func lstat(at int, name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(at, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, err
}

func fstat(fd int) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return st, err
}

func isType(st unix.Stat_t, typ uint32) bool { return st.Mode&unix.S_IFMT == typ }

func readlink(at int, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(at, name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// readNames returns the entries of a directory, sorted. It works on a descriptor of its own, so dir's offset stays.
func readNames(dir int) ([]string, error) {
	fd, err := openDir(dir, ".")
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), ".")
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// withFile lends fd as an *os.File, for interfaces that want one.
func withFile(fd int, do func(*os.File) error) error {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(own), "layer directory")
	defer f.Close()
	return do(f)
}

// removeTree removes name, and if it is a directory all that is in it. What is not there is removed already.
func removeTree(at int, name string) error {
	err := unix.Unlinkat(at, name, 0)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if !errors.Is(err, unix.EISDIR) {
		return err
	}
	dir, err := openDir(at, name)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	names, err := readNames(dir)
	if err != nil {
		return err
	}
	for _, child := range names {
		if err := removeTree(dir, child); err != nil {
			return err
		}
	}
	return unix.Unlinkat(at, name, unix.AT_REMOVEDIR)
}

// keepTime runs do, which changes the entries of dir, and puts back dir's modification time.
func keepTime(dir int, do func() error) error {
	st, err := fstat(dir)
	if err != nil {
		return err
	}
	return errors.Join(do(), setTime(dir, ".", st.Mtim))
}

func setTime(at int, name string, t unix.Timespec) error {
	return unix.UtimesNanoAt(at, name, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
}

// ignoreMissing takes a file that is not there for no error.
func ignoreMissing(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// procPath names what fd refers to, also when fd is of O_PATH or of a symbolic link: the calls for xattrs have no
// form that takes such a descriptor before Linux 6.13.
func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
