package stage

import (
	"syscall"
	"unsafe"

	"github.com/lrun-dev/lrun/runtime/stage/sys"
)

// leaveHost drops the host's mounts for an empty directory, which nobody can write to.
func (c *child) leaveHost() syscall.Errno {
	// First of all: pivot_root refuses a shared parent, and nothing that the container mounts may travel back to the host.
	if errno := sys.MakePrivate(); errno != 0 {
		return errno
	}
	empty, errno := c.cover(true)
	if errno != 0 {
		return errno
	}
	defer sys.Close(empty)
	if errno := attachOver(empty); errno != 0 {
		return errno
	}
	c.left = true
	return pivot(empty)
}

// attachOver attaches a mount over the root of the mount namespace, the one directory that is reached for sure.
func attachOver(mount int) syscall.Errno {
	at, errno := sys.Openat2(-100, "/", sys.OPath|syscall.O_DIRECTORY, sys.ResolveNoMagic)
	if errno != 0 {
		return errno
	}
	defer sys.Close(at)
	return sys.MoveMount(mount, at)
}

func (c *child) attachRoot(s *Step) syscall.Errno {
	if !c.left {
		if errno := sys.MakePrivate(); errno != 0 {
			return errno
		}
	}
	c.root = c.fd(s)
	return attachOver(c.root)
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
	defer sys.Close(at)
	return sys.MoveMount(from, at)
}

// takeMode gives the root of a mount the mode of the directory path; when there is none, it keeps its own.
func (c *child) takeMode(mount int, path string) syscall.Errno {
	fd, _, errno := c.existing(path)
	if fd < 0 {
		return errno
	}
	defer sys.Close(fd)
	st, errno := sys.Fstat(fd)
	if errno != 0 {
		return errno
	}
	return sys.ChmodRoot(mount, st.Mode&0o7777)
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
	resolve := uint64(sys.ResolveInRoot | sys.ResolveNoMagic | sys.ResolveNoSymlinks)
	fd, errno := sys.Openat2(c.root, s.Path, sys.OPath, resolve)
	if errno != syscall.ENOENT {
		return fd, errno
	}
	parent, name := split(s.Path)
	dir, errno := sys.Openat2(c.root, parent, sys.OPath|syscall.O_DIRECTORY, resolve)
	if errno != 0 {
		return -1, errno
	}
	defer sys.Close(dir)
	if errno := create(dir, name, s.Flags&IsFile != 0); errno != 0 {
		return -1, errno
	}
	return sys.Openat2(c.root, s.Path, sys.OPath, resolve)
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
	ctx, errno := sys.Fsopen(kind)
	if errno != 0 {
		return -1, errno
	}
	defer sys.Close(ctx)
	for _, option := range options {
		key, value, hasValue := cut(option, '=')
		command := sys.FsconfigFlag
		if hasValue {
			command = sys.FsconfigString
		}
		if errno := sys.Fsconfig(ctx, command, key, value); errno != 0 {
			return -1, errno
		}
	}
	if errno := sys.Fsconfig(ctx, sys.FsconfigCreate, "", ""); errno != 0 {
		return -1, errno
	}
	r, _, errno := syscall.RawSyscall(sys.SysFsmount, uintptr(ctx), 1, uintptr(attr))
	if errno != 0 {
		return -1, errno
	}
	return int(r), 0
}

// inside binds a file of the container at another of its names: /dev/console to the terminal.
func (c *child) inside(s *Step) syscall.Errno {
	source, errno := sys.Openat2(c.root, s.Data[0], sys.OPath, sys.ResolveInRoot|sys.ResolveNoMagic|sys.ResolveNoSymlinks)
	if errno != 0 {
		c.detail = s.Data[0]
		return errno
	}
	defer sys.Close(source)
	mount, errno := sys.CloneMount(source, false)
	if errno != 0 {
		return errno
	}
	defer sys.Close(mount)
	return c.attach(mount, s)
}

// existing opens a path to be masked or made read-only; -1 without an error: there is none.
func (c *child) existing(path string) (fd int, dir bool, errno syscall.Errno) {
	fd, errno = sys.Openat2(c.root, path, sys.OPath, sys.ResolveInRoot|sys.ResolveNoMagic)
	if errno == syscall.ENOENT || errno == syscall.ENOTDIR {
		return -1, false, 0
	}
	if errno != 0 {
		return -1, false, errno
	}
	st, errno := sys.Fstat(fd)
	if errno != 0 {
		sys.Close(fd)
		return -1, false, errno
	}
	return fd, st.Mode&syscall.S_IFMT == syscall.S_IFDIR, 0
}

func (c *child) mask(s *Step) syscall.Errno {
	fd, dir, errno := c.existing(s.Path)
	if fd < 0 {
		return errno
	}
	defer sys.Close(fd)
	cover, errno := c.cover(dir)
	if errno != 0 {
		return errno
	}
	defer sys.Close(cover)
	return sys.MoveMount(cover, fd)
}

// cover returns a detached mount that hides a file or a directory.
func (c *child) cover(dir bool) (int, syscall.Errno) {
	if dir {
		return openFilesystem("tmpfs", []string{"size=0", "nr_inodes=1", "mode=755", "source=tmpfs"}, sys.MountAttrRO)
	}
	null, errno := c.null(sys.OPath)
	if errno != 0 {
		return -1, errno
	}
	defer sys.Close(null)
	return sys.CloneMount(null, false)
}

// null opens the container's /dev/null. An image's own may be anything (CVE-2025-31133): only the device 1:3 will do.
func (c *child) null(flags uint64) (int, syscall.Errno) {
	fd, errno := sys.Openat2(c.root, "/dev/null", flags, sys.ResolveInRoot|sys.ResolveNoMagic|sys.ResolveNoSymlinks)
	if errno != 0 {
		return -1, errno
	}
	st, errno := sys.Fstat(fd)
	if errno == 0 && (st.Mode&syscall.S_IFMT != syscall.S_IFCHR || st.Rdev != 1<<8|3) {
		errno = syscall.ENODEV
	}
	if errno != 0 {
		sys.Close(fd)
		return -1, errno
	}
	return fd, 0
}

func (c *child) readOnly(s *Step) syscall.Errno {
	fd, _, errno := c.existing(s.Path)
	if fd < 0 {
		return errno
	}
	defer sys.Close(fd)
	mount, errno := sys.CloneMount(fd, true)
	if errno != 0 {
		return errno
	}
	defer sys.Close(mount)
	if errno := sys.SetReadOnly(mount, sys.AtRecursive); errno != 0 {
		return errno
	}
	return sys.MoveMount(mount, fd)
}

// enterRoot makes the container's root that of this process. Where the host's mounts are gone already it covers an empty
// directory, and there is nothing to come back to.
func (c *child) enterRoot() syscall.Errno {
	if !c.left {
		return pivot(c.root)
	}
	if errno := sys.Enter(c.root); errno != 0 {
		return errno
	}
	if errno := sys.ChrootHere(); errno != 0 {
		return errno
	}
	return sys.EnterRoot()
}

// pivot stacks the old root on the new one and takes it off again, so that no directory for it is
// needed in the new root.
func pivot(root int) syscall.Errno {
	if errno := sys.Enter(root); errno != 0 {
		return errno
	}
	if errno := sys.PivotHere(); errno != 0 {
		return errno
	}
	return sys.EnterRoot()
}

// loopbackUp sets IFF_UP on lo; a new network namespace has it down.
func loopbackUp() syscall.Errno {
	const ifnameSize, ioctlGetFlags, ioctlSetFlags = 16, 0x8913, 0x8914
	fd, errno := sys.Call(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0, 0)
	if errno == syscall.EAFNOSUPPORT {
		return 0
	}
	if errno != 0 {
		return errno
	}
	defer sys.Close(int(fd))
	var request struct {
		name  [ifnameSize]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], "lo")
	if _, _, errno := syscall.RawSyscall(syscall.SYS_IOCTL, fd, ioctlGetFlags, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	request.flags |= syscall.IFF_UP
	_, _, errno = syscall.RawSyscall(syscall.SYS_IOCTL, fd, ioctlSetFlags, uintptr(unsafe.Pointer(&request)))
	return errno
}
