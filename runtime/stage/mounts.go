package stage

import (
	"syscall"
	"unsafe"
)

// attachRoot needs a private tree first: pivot_root refuses a shared parent, and nothing that the
// container mounts may travel back to the host.
func (c *child) attachRoot(s *Step) syscall.Errno {
	if errno := errnoOf(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")); errno != 0 {
		return errno
	}
	at, errno := openat2(-100, s.Path, oPath|syscall.O_DIRECTORY, resolveNoMagic)
	if errno != 0 {
		return errno
	}
	defer closeFD(at)
	c.root = c.fd(s)
	return moveMount(c.root, at)
}

func (c *child) attach(from int, s *Step) syscall.Errno {
	if s.Flags&LikeTarget != 0 {
		if errno := c.takeMode(from, s.Path); errno != 0 {
			return errno
		}
	}
	at, errno := c.target(s)
	if errno != 0 {
		return errno
	}
	defer closeFD(at)
	return moveMount(from, at)
}

// takeMode gives the root of a mount the mode of the directory path; when there is none, it keeps its own.
func (c *child) takeMode(mount int, path string) syscall.Errno {
	fd, _, errno := c.existing(path)
	if fd < 0 {
		return errno
	}
	defer closeFD(fd)
	var st syscall.Stat_t
	if errno := errnoOf(syscall.Fstat(fd, &st)); errno != 0 {
		return errno
	}
	return errnoOf(syscall.Fchmodat(mount, ".", st.Mode&0o7777, 0))
}

// target opens the place of a mount, made if it is missing.
func (c *child) target(s *Step) (int, syscall.Errno) {
	if s.Flags&NoSymlinks != 0 {
		return c.plainTarget(s)
	}
	if s.Flags&IsFile != 0 {
		return ensureFile(c.root, s.Path)
	}
	return ensureDir(c.root, s.Path)
}

// plainTarget is for proc, sys and dev: a symbolic link there would lead a mount that the container's
// safety rests on to another place.
func (c *child) plainTarget(s *Step) (int, syscall.Errno) {
	resolve := uint64(resolveInRoot | resolveNoMagic | resolveNoSymlinks)
	fd, errno := openat2(c.root, s.Path, oPath, resolve)
	if errno != syscall.ENOENT {
		return fd, errno
	}
	parent, name := split(s.Path)
	dir, errno := openat2(c.root, parent, oPath|syscall.O_DIRECTORY, resolve)
	if errno != 0 {
		return -1, errno
	}
	defer closeFD(dir)
	if errno := create(dir, name, s.Flags&IsFile != 0); errno != 0 {
		return -1, errno
	}
	return openat2(c.root, s.Path, oPath, resolve)
}

// filesystem mounts what must see the container's own namespaces: proc, sysfs, mqueue, cgroup2.
func (c *child) filesystem(s *Step) syscall.Errno {
	fs, errno := openFilesystem(s.Data[0], s.Data[1:], s.Attr)
	if errno != 0 {
		return errno
	}
	if s.FD >= 0 && s.FD < len(c.fds) {
		c.fds[s.FD] = fs
	}
	return c.attach(fs, s) // its descriptor closes at exec
}

func openFilesystem(kind string, options []string, attr uint64) (int, syscall.Errno) {
	r, _, errno := syscall.RawSyscall(sysFsopen, uintptr(cstring(kind)), 1, 0)
	if errno != 0 {
		return -1, errno
	}
	ctx := int(r)
	defer closeFD(ctx)
	for _, option := range options {
		key, value, hasValue := cut(option, '=')
		command := fsconfigFlag
		if hasValue {
			command = fsconfigString
		}
		if errno := fsconfig(ctx, command, key, value); errno != 0 {
			return -1, errno
		}
	}
	if errno := fsconfig(ctx, fsconfigCreate, "", ""); errno != 0 {
		return -1, errno
	}
	r, _, errno = syscall.RawSyscall(sysFsmount, uintptr(ctx), 1, uintptr(attr))
	if errno != 0 {
		return -1, errno
	}
	return int(r), 0
}

// inside binds a file of the container at another of its names: /dev/console to the terminal.
func (c *child) inside(s *Step) syscall.Errno {
	source, errno := openat2(c.root, s.Data[0], oPath, resolveInRoot|resolveNoMagic|resolveNoSymlinks)
	if errno != 0 {
		c.detail = s.Data[0]
		return errno
	}
	defer closeFD(source)
	mount, errno := cloneMount(source, false)
	if errno != 0 {
		return errno
	}
	defer closeFD(mount)
	return c.attach(mount, s)
}

// existing opens a path to be masked or made read-only; -1 without an error: there is none.
func (c *child) existing(path string) (fd int, dir bool, errno syscall.Errno) {
	fd, errno = openat2(c.root, path, oPath, resolveInRoot|resolveNoMagic)
	if errno == syscall.ENOENT || errno == syscall.ENOTDIR {
		return -1, false, 0
	}
	if errno != 0 {
		return -1, false, errno
	}
	var st syscall.Stat_t
	if errno := errnoOf(syscall.Fstat(fd, &st)); errno != 0 {
		closeFD(fd)
		return -1, false, errno
	}
	return fd, st.Mode&syscall.S_IFMT == syscall.S_IFDIR, 0
}

func (c *child) mask(s *Step) syscall.Errno {
	fd, dir, errno := c.existing(s.Path)
	if fd < 0 {
		return errno
	}
	defer closeFD(fd)
	cover, errno := c.cover(dir)
	if errno != 0 {
		return errno
	}
	defer closeFD(cover)
	return moveMount(cover, fd)
}

// cover returns a detached mount that hides a file or a directory.
func (c *child) cover(dir bool) (int, syscall.Errno) {
	if dir {
		return openFilesystem("tmpfs", []string{"size=0", "nr_inodes=1", "mode=755", "source=tmpfs"}, mountAttrRO)
	}
	null, errno := c.null(oPath)
	if errno != 0 {
		return -1, errno
	}
	defer closeFD(null)
	return cloneMount(null, false)
}

// null opens the container's /dev/null. An image's own may be anything (CVE-2025-31133): only the device 1:3 will do.
func (c *child) null(flags uint64) (int, syscall.Errno) {
	fd, errno := openat2(c.root, "/dev/null", flags, resolveInRoot|resolveNoMagic|resolveNoSymlinks)
	if errno != 0 {
		return -1, errno
	}
	var st syscall.Stat_t
	errno = errnoOf(syscall.Fstat(fd, &st))
	if errno == 0 && (st.Mode&syscall.S_IFMT != syscall.S_IFCHR || st.Rdev != 1<<8|3) {
		errno = syscall.ENODEV
	}
	if errno != 0 {
		closeFD(fd)
		return -1, errno
	}
	return fd, 0
}

func (c *child) readOnly(s *Step) syscall.Errno {
	fd, _, errno := c.existing(s.Path)
	if fd < 0 {
		return errno
	}
	defer closeFD(fd)
	mount, errno := cloneMount(fd, true)
	if errno != 0 {
		return errno
	}
	defer closeFD(mount)
	if errno := setReadOnly(mount, atRecursive); errno != 0 {
		return errno
	}
	return moveMount(mount, fd)
}

// pivot stacks the old root on the new one and takes it off again, so that no directory for it is
// needed in the container's root.
func (c *child) pivot() syscall.Errno {
	if errno := errnoOf(syscall.Fchdir(c.root)); errno != 0 {
		return errno
	}
	if errno := errno3(syscall.SYS_PIVOT_ROOT, uintptr(cstring(".")), uintptr(cstring(".")), 0); errno != 0 {
		return errno
	}
	if errno := errno3(syscall.SYS_UMOUNT2, uintptr(cstring(".")), syscall.MNT_DETACH, 0); errno != 0 {
		return errno
	}
	return errnoOf(syscall.Chdir("/"))
}

// loopbackUp sets IFF_UP on lo; a new network namespace has it down.
func loopbackUp() syscall.Errno {
	const ifnameSize, ioctlGetFlags, ioctlSetFlags = 16, 0x8913, 0x8914
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err == syscall.EAFNOSUPPORT {
		return 0
	}
	if err != nil {
		return errnoOf(err)
	}
	defer closeFD(fd)
	var request struct {
		name  [ifnameSize]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], "lo")
	if errno := errno3(syscall.SYS_IOCTL, uintptr(fd), ioctlGetFlags, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	request.flags |= syscall.IFF_UP
	return errno3(syscall.SYS_IOCTL, uintptr(fd), ioctlSetFlags, uintptr(unsafe.Pointer(&request)))
}
