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
	return copyMeta(int(to.Fd()), int(from.Fd()), &st, to, ".")
}

// copyMeta gives the open file to, which is name in dir, all that st and from's extended attributes say, but for what it
// has already: each change is one of the filesystem's journal. The order matters: a change of owner clears setuid and
// file capabilities, and every other change sets times.
func copyMeta(to, from int, st *unix.Stat_t, dir *os.File, name string) error {
	var has unix.Stat_t
	if err := unix.Fstat(to, &has); err != nil {
		return entryError("stat", dir, name, err)
	}
	if !sameOwner(&has, st) {
		if err := unix.Fchown(to, int(st.Uid), int(st.Gid)); err != nil {
			return entryError("chown", dir, name, err)
		}
	}
	if err := copyXattrs(fdXattrs(to), fdXattrs(from)); err != nil {
		return entryError("copy xattrs of", dir, name, err)
	}
	if !sameMode(&has, st) {
		if err := unix.Fchmod(to, st.Mode&0o7777); err != nil {
			return entryError("chmod", dir, name, err)
		}
	}
	// An empty path with a descriptor is futimens(2).
	if err := unix.UtimesNanoAt(to, "", times(st), unix.AT_EMPTY_PATH); err != nil {
		return entryError("set times of", dir, name, err)
	}
	return nil
}

// copyNodeMeta is copyMeta for name in to and from, which is not to be opened: a link, device or FIFO.
func copyNodeMeta(to, from *os.File, name string, st *unix.Stat_t) error {
	at := int(to.Fd())
	var has unix.Stat_t
	if err := unix.Fstatat(at, name, &has, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return entryError("stat", to, name, err)
	}
	if !sameOwner(&has, st) {
		if err := unix.Fchownat(at, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return entryError("chown", to, name, err)
		}
	}
	if err := copyXattrs(pathXattrs(procPath(to, name)), pathXattrs(procPath(from, name))); err != nil {
		return entryError("copy xattrs of", to, name, err)
	}
	if !sameMode(&has, st) && st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := unix.Fchmodat(at, name, st.Mode&0o7777, 0); err != nil {
			return entryError("chmod", to, name, err)
		}
	}
	if err := unix.UtimesNanoAt(at, name, times(st), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return entryError("set times of", to, name, err)
	}
	return nil
}

func sameOwner(a, b *unix.Stat_t) bool { return a.Uid == b.Uid && a.Gid == b.Gid }

// sameMode reports whether a has the mode of b, and keeps it when its owner changes.
func sameMode(a, b *unix.Stat_t) bool {
	return a.Mode == b.Mode && (b.Mode&(unix.S_ISUID|unix.S_ISGID) == 0 || sameOwner(a, b))
}

// times returns what utimensat takes.
func times(st *unix.Stat_t) []unix.Timespec { return []unix.Timespec{st.Atim, st.Mtim} }

// dropACLs removes what the directory d has inherited of a default access list. What is made in it then inherits nothing.
func dropACLs(d *os.File) error {
	for _, name := range []string{"system.posix_acl_default", "system.posix_acl_access"} {
		err := unix.Fremovexattr(int(d.Fd()), name)
		if err != nil && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.ENOTSUP) {
			return entryError("remove xattr "+name+" of", d, ".", err)
		}
	}
	return nil
}

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
