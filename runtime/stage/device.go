package stage

import (
	"syscall"

	"github.com/lrun-dev/lrun/runtime/stage/sys"
)

// device makes a device node in a directory that is there. One that an earlier start has left is made anew, for its
// number may have changed; anything else in its place stays, and is EEXIST.
func (c *child) device(s *Step) syscall.Errno {
	d := decoder{b: s.Blob}
	mode, number, uid, gid := uint32(d.number()), int(d.number()), uintptr(d.number()), uintptr(d.number())
	parent, name := split(s.Path)
	dir, errno := sys.Openat2(c.root, parent, sys.OPath|syscall.O_DIRECTORY, inRoot|s.Flags&NoSymlinks/NoSymlinks*sys.ResolveNoSymlinks)
	if errno != 0 {
		return errno
	}
	defer sys.Close(dir)
	if isDevice(dir, name) {
		_ = sys.Unlinkat(dir, name) // else it is there
	}
	sys.Umask(0) // the mode is the device's
	errno = sys.Mknodat(dir, name, mode, number)
	sys.Umask(0o022)
	if errno == 0 {
		errno = sys.Fchownat(dir, name, uid, gid)
	}
	return errno
}

func isDevice(dir int, name string) bool {
	fd, errno := sys.Openat2(dir, name, sys.OPath|syscall.O_NOFOLLOW, sys.ResolveInRoot)
	if errno != 0 {
		return false
	}
	st, errno := sys.Fstat(fd)
	sys.Close(fd)
	return errno == 0 && (st.Mode&syscall.S_IFMT == syscall.S_IFCHR || st.Mode&syscall.S_IFMT == syscall.S_IFBLK)
}
