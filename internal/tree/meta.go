package tree

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// CopyRoot gives the directory dst what the directory src has besides its entries: owner, extended
// attributes, mode and times.
func CopyRoot(dst, src string) (err error) {
	from, err := openTop(src)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := openTop(dst)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	var st unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &st); err != nil {
		return &fs.PathError{Op: "stat", Path: src, Err: err}
	}
	return copyMeta(int(to.Fd()), int(from.Fd()), &st, dst)
}

// copyMeta gives the open file to all that st and from's extended attributes say. The order matters:
// a change of owner clears setuid and file capabilities, and every other change sets times.
func copyMeta(to, from int, st *unix.Stat_t, name string) error {
	if err := unix.Fchown(to, int(st.Uid), int(st.Gid)); err != nil {
		return &fs.PathError{Op: "chown", Path: name, Err: err}
	}
	if err := copyXattrs(fdXattrs(to), fdXattrs(from)); err != nil {
		return &fs.PathError{Op: "copy xattrs of", Path: name, Err: err}
	}
	if err := unix.Fchmod(to, st.Mode&0o7777); err != nil {
		return &fs.PathError{Op: "chmod", Path: name, Err: err}
	}
	// An empty path with a descriptor is futimens(2).
	if err := unix.UtimesNanoAt(to, "", times(st), unix.AT_EMPTY_PATH); err != nil {
		return &fs.PathError{Op: "set times of", Path: name, Err: err}
	}
	return nil
}

// copyNodeMeta is copyMeta for name in to and from, which is not to be opened: a link, device or FIFO.
func copyNodeMeta(to, from *os.File, name string, st *unix.Stat_t) error {
	at := int(to.Fd())
	if err := unix.Fchownat(at, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return entryError("chown", to, name, err)
	}
	if err := copyXattrs(pathXattrs(procPath(to, name)), pathXattrs(procPath(from, name))); err != nil {
		return entryError("copy xattrs of", to, name, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := unix.Fchmodat(at, name, st.Mode&0o7777, 0); err != nil {
			return entryError("chmod", to, name, err)
		}
	}
	if err := unix.UtimesNanoAt(at, name, times(st), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return entryError("set times of", to, name, err)
	}
	return nil
}

// times returns what utimensat takes.
func times(st *unix.Stat_t) []unix.Timespec { return []unix.Timespec{st.Atim, st.Mtim} }

// procPath names an entry of an open directory for calls that take paths alone.
func procPath(dir *os.File, name string) string {
	return "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + name
}

// xattrs are the calls on the extended attributes of one file.
type xattrs struct {
	list func([]byte) (int, error)
	get  func(string, []byte) (int, error)
	set  func(string, []byte) error
}

func fdXattrs(fd int) xattrs {
	return xattrs{
		list: func(b []byte) (int, error) { return unix.Flistxattr(fd, b) },
		get:  func(name string, b []byte) (int, error) { return unix.Fgetxattr(fd, name, b) },
		set:  func(name string, b []byte) error { return unix.Fsetxattr(fd, name, b, 0) },
	}
}

func pathXattrs(path string) xattrs {
	return xattrs{
		list: func(b []byte) (int, error) { return unix.Llistxattr(path, b) },
		get:  func(name string, b []byte) (int, error) { return unix.Lgetxattr(path, name, b) },
		set:  func(name string, b []byte) error { return unix.Lsetxattr(path, name, b, 0) },
	}
}

// copyXattrs sets all attributes of from, security.capability and access lists among them.
func copyXattrs(to, from xattrs) error {
	names, err := grow(from.list)
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	if err != nil {
		return err
	}
	for name := range bytes.SplitSeq(names, []byte{0}) {
		if len(name) == 0 {
			continue
		}
		attr := string(name)
		value, err := grow(func(b []byte) (int, error) { return from.get(attr, b) })
		if errors.Is(err, unix.ENODATA) {
			continue // removed meanwhile
		}
		if err == nil {
			err = to.set(attr, value)
		}
		if err != nil {
			return &fs.PathError{Op: "xattr", Path: attr, Err: err}
		}
	}
	return nil
}

// grow calls get with ever larger buffers until the answer fits.
func grow(get func([]byte) (int, error)) ([]byte, error) {
	var small [128]byte
	n, err := get(small[:])
	if err == nil {
		return bytes.Clone(small[:n]), nil
	}
	for size := 1024; errors.Is(err, unix.ERANGE) && size <= 1<<20; size *= 8 {
		buf := make([]byte, size)
		if n, err = get(buf); err == nil {
			return buf[:n], nil
		}
	}
	return nil, err
}
