package stage

import "syscall"

// device makes a device node in a directory that is there. One that an earlier start has left is made anew, for its
// number may have changed; anything else in its place stays, and is EEXIST.
func (c *child) device(s *Step) syscall.Errno {
	d := decoder{b: s.Blob}
	mode, number, uid, gid := uint32(d.number()), int(d.number()), uintptr(d.number()), uintptr(d.number())
	parent, name := split(s.Path)
	dir, errno := openat2(c.root, parent, oPath|syscall.O_DIRECTORY, inRoot|s.Flags&NoSymlinks/NoSymlinks*resolveNoSymlinks)
	if errno != 0 {
		return errno
	}
	defer closeFD(dir)
	if isDevice(dir, name) {
		_ = errno3(syscall.SYS_UNLINKAT, uintptr(dir), uintptr(cstring(name)), 0) // else it is there
	}
	syscall.Umask(0) // the mode is the device's
	errno = errnoOf(syscall.Mknodat(dir, name, mode, number))
	syscall.Umask(0o022)
	if errno == 0 {
		_, _, errno = syscall.RawSyscall6(syscall.SYS_FCHOWNAT, uintptr(dir), uintptr(cstring(name)), uid, gid, atSymlinkNoFollow, 0)
	}
	return errno
}

func isDevice(dir int, name string) bool {
	var st syscall.Stat_t
	fd, errno := openat2(dir, name, oPath|syscall.O_NOFOLLOW, resolveInRoot)
	if errno == 0 {
		errno = errnoOf(syscall.Fstat(fd, &st))
		closeFD(fd)
	}
	return errno == 0 && (st.Mode&syscall.S_IFMT == syscall.S_IFCHR || st.Mode&syscall.S_IFMT == syscall.S_IFBLK)
}
