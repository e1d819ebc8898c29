// Package sys is the system calls of package stage. Like stage it imports only syscall and unsafe, and like stage it needs
// neither another package to be initialised nor a Go runtime to be there: nothing is allocated but in a Memory, and no call tells
// the scheduler. An errno of 0 is success.
//
// An address on the stack is given to the kernel by RawSyscall alone, and converted in that call: any other may move the stack.
package sys

import (
	"syscall"
	"unsafe"
)

// System calls since 5.1 have the same number on every architecture; package syscall does not know them.
const (
	sysOpenTree     = 428
	sysMoveMount    = 429
	sysFsopen       = 430
	sysFsconfig     = 431
	SysFsmount      = 432
	SysCloseRange   = 436
	sysOpenat2      = 437
	sysMountSetattr = 442
)

// Flags and options of the calls, named as in the kernel's headers.
const (
	AtEmptyPath       = 0x1000
	AtRecursive       = 0x8000
	atSymlinkNoFollow = 0x100
	OPath             = 0x200000
	ResolveNoMagic    = 0x02
	ResolveNoSymlinks = 0x04
	ResolveInRoot     = 0x10

	openTreeClone  = 1
	moveFromEmpty  = 0x04
	moveToEmpty    = 0x40
	MountAttrRO    = 1
	FsconfigFlag   = 0
	FsconfigString = 1
	FsconfigCreate = 6

	KeyctlJoinSession = 1

	PrSetPdeathsig  = 1
	PrSetDumpable   = 4
	PrSetKeepCaps   = 8
	PrCapbsetDrop   = 24
	PrSetNoNewPrivs = 38
	PrCapAmbient    = 47
	AmbientRaise    = 2
	AmbientClear    = 4

	SeccompSetModeFilter = 1
	ProcMagic            = 0x9fa0
)

// ErrnoOf returns the number of an error of package syscall.
func ErrnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if e, ok := err.(syscall.Errno); ok { //nolint:errorlint // package errors is not initialised yet; syscall returns bare numbers
		return e
	}
	return syscall.EIO
}

// Call calls the kernel with up to four arguments, and again when a signal interrupted it.
func Call(trap, a, b, c, d uintptr) (uintptr, syscall.Errno) {
	for {
		r, _, e := syscall.RawSyscall6(trap, a, b, c, d, 0, 0)
		if e != syscall.EINTR {
			return r, e
		}
	}
}

// Call3 is Call for who does not need the result.
func Call3(trap, a, b, c uintptr) syscall.Errno {
	_, e := Call(trap, a, b, c, 0)
	return e
}

// path is a name as the kernel takes it. One with a NUL in it is cut there.
type path [4096]byte // PATH_MAX, with the NUL at the end

func (p *path) set(s string) syscall.Errno {
	if len(s) >= len(p) {
		return syscall.ENAMETOOLONG
	}
	p[copy(p[:], s)] = 0
	return 0
}

// empty is a C string.
func empty() uintptr { return uintptr(unsafe.Pointer(unsafe.StringData("\x00"))) }

// here is the C string of the working directory.
func here() uintptr { return uintptr(unsafe.Pointer(unsafe.StringData(".\x00"))) }

// at makes a call whose second argument is a name at the directory dir. The rest are no addresses on the stack.
func at(trap uintptr, dir int, name string, a, b, c uintptr) syscall.Errno {
	var p path
	if e := p.set(name); e != 0 {
		return e
	}
	_, _, e := syscall.RawSyscall6(trap, uintptr(dir), uintptr(unsafe.Pointer(&p)), a, b, c, 0)
	return e
}

// Close closes a descriptor that is not below zero.
func Close(fd int) {
	if fd >= 0 {
		_ = Call3(syscall.SYS_CLOSE, uintptr(fd), 0, 0)
	}
}

// Openat2 opens name at dir, closed at exec, as openat2(2), Linux 5.6. It retries EAGAIN, which RESOLVE_IN_ROOT gives when a rename elsewhere crossed its way.
func Openat2(dir int, name string, flags, resolve uint64) (int, syscall.Errno) {
	how := [3]uint64{flags | syscall.O_CLOEXEC, 0, resolve}
	var p path
	if e := p.set(name); e != 0 {
		return -1, e
	}
	var fd uintptr
	var e syscall.Errno
	for range 1000 {
		fd, _, e = syscall.RawSyscall6(sysOpenat2, uintptr(dir), uintptr(unsafe.Pointer(&p)), uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how), 0, 0)
		if e != syscall.EAGAIN && e != syscall.EINTR {
			break
		}
	}
	if e != 0 {
		return -1, e
	}
	return int(fd), 0
}

// MoveMount attaches the detached mount from at to, move_mount(2).
func MoveMount(from, to int) syscall.Errno {
	_, _, e := syscall.RawSyscall6(sysMoveMount, uintptr(from), empty(), uintptr(to), empty(), moveFromEmpty|moveToEmpty, 0)
	return e
}

// CloneMount returns a detached copy of the mount at fd, with all mounts below it when recursive.
func CloneMount(fd int, recursive bool) (int, syscall.Errno) {
	flags := uintptr(openTreeClone | syscall.O_CLOEXEC | AtEmptyPath)
	if recursive {
		flags |= AtRecursive
	}
	r, _, e := syscall.RawSyscall(sysOpenTree, uintptr(fd), empty(), flags)
	if e != 0 {
		return -1, e
	}
	return int(r), 0
}

// SetReadOnly sets MOUNT_ATTR_RDONLY on the mount at fd; flags may hold AT_RECURSIVE.
func SetReadOnly(fd int, flags uintptr) syscall.Errno {
	attr := [4]uint64{MountAttrRO, 0, 0, 0}
	_, _, e := syscall.RawSyscall6(sysMountSetattr, uintptr(fd), empty(), AtEmptyPath|flags, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	return e
}

// Fsconfig gives the filesystem context fd an option, or creates its filesystem, fsconfig(2).
func Fsconfig(fd, command int, key, value string) syscall.Errno {
	var k, v path
	if e := k.set(key); e != 0 {
		return e
	}
	if e := v.set(value); e != 0 {
		return e
	}
	var e syscall.Errno
	switch command {
	case FsconfigString:
		_, _, e = syscall.RawSyscall6(sysFsconfig, uintptr(fd), uintptr(command), uintptr(unsafe.Pointer(&k)), uintptr(unsafe.Pointer(&v)), 0, 0)
	case FsconfigFlag:
		_, _, e = syscall.RawSyscall6(sysFsconfig, uintptr(fd), uintptr(command), uintptr(unsafe.Pointer(&k)), 0, 0, 0)
	default:
		_, _, e = syscall.RawSyscall6(sysFsconfig, uintptr(fd), uintptr(command), 0, 0, 0, 0)
	}
	return e
}

// Fsopen returns a context for a filesystem of a type, fsopen(2).
func Fsopen(kind string) (int, syscall.Errno) {
	var p path
	if e := p.set(kind); e != 0 {
		return -1, e
	}
	r, _, e := syscall.RawSyscall(sysFsopen, uintptr(unsafe.Pointer(&p)), 1, 0) // FSOPEN_CLOEXEC
	return descriptor(r, e)
}

// descriptor is what a call returned that returns one.
func descriptor(r uintptr, e syscall.Errno) (int, syscall.Errno) {
	if e != 0 {
		return -1, e
	}
	return int(r), 0
}

// Prctl is prctl(2) with one argument.
func Prctl(option, a uintptr) syscall.Errno { return Prctl2(option, a, 0) }

// Prctl2 is prctl(2) with two arguments.
func Prctl2(option, a, b uintptr) syscall.Errno {
	_, _, e := syscall.RawSyscall6(syscall.SYS_PRCTL, option, a, b, 0, 0, 0)
	return e
}

// Write writes s in one call.
func Write(fd int, s string) syscall.Errno {
	for {
		_, _, e := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.StringData(s))), uintptr(len(s)))
		if e != syscall.EINTR {
			return e
		}
	}
}

// Fstat returns what fstat(2) says of a descriptor.
func Fstat(fd int) (st syscall.Stat_t, e syscall.Errno) {
	_, _, e = syscall.RawSyscall(syscall.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(&st)), 0)
	return st, e
}

// Enter makes the directory fd the working directory.
func Enter(fd int) syscall.Errno { return Call3(syscall.SYS_FCHDIR, uintptr(fd), 0, 0) }

// EnterRoot makes the root directory the working directory.
func EnterRoot() syscall.Errno {
	return Call3(syscall.SYS_CHDIR, uintptr(unsafe.Pointer(unsafe.StringData("/\x00"))), 0, 0)
}

// ChrootHere makes the working directory the root directory.
func ChrootHere() syscall.Errno { return Call3(syscall.SYS_CHROOT, here(), 0, 0) }

// PivotHere stacks the root mount on the working directory, the new root, and takes it off again (pivot_root(2), "pivot_root(".", ".")").
func PivotHere() syscall.Errno {
	if e := Call3(syscall.SYS_PIVOT_ROOT, here(), here(), 0); e != 0 {
		return e
	}
	return Call3(syscall.SYS_UMOUNT2, here(), syscall.MNT_DETACH, 0)
}

// MakePrivate makes every mount private.
func MakePrivate() syscall.Errno {
	_, _, e := syscall.RawSyscall6(syscall.SYS_MOUNT, 0, uintptr(unsafe.Pointer(unsafe.StringData("/\x00"))), 0, syscall.MS_REC|syscall.MS_PRIVATE, 0, 0)
	return e
}

// Mkdirat makes a directory at dir, mkdirat(2).
func Mkdirat(dir int, name string, mode uint32) syscall.Errno {
	return at(syscall.SYS_MKDIRAT, dir, name, uintptr(mode), 0, 0)
}

// Mknodat makes a file at dir, mknodat(2).
func Mknodat(dir int, name string, mode uint32, number int) syscall.Errno {
	return at(syscall.SYS_MKNODAT, dir, name, uintptr(mode), uintptr(number), 0)
}

// Unlinkat removes a file at dir, unlinkat(2).
func Unlinkat(dir int, name string) syscall.Errno {
	return at(syscall.SYS_UNLINKAT, dir, name, 0, 0, 0)
}

// Fchownat gives a file at dir, or a link itself, to an owner, fchownat(2).
func Fchownat(dir int, name string, uid, gid uintptr) syscall.Errno {
	return at(syscall.SYS_FCHOWNAT, dir, name, uid, gid, atSymlinkNoFollow)
}

// ChmodRoot sets the mode of the directory fd, which may be open as a path only.
func ChmodRoot(fd int, mode uint32) syscall.Errno {
	return at(syscall.SYS_FCHMODAT, fd, ".", uintptr(mode), 0, 0)
}

// Exists tells whether there is such a file, from the working directory.
func Exists(file string) bool {
	const workingDirectory = -100 // AT_FDCWD
	return at(syscall.SYS_FACCESSAT, workingDirectory, file, 0, 0, 0) == 0
}

// Readlinkat writes to b what a symbolic link at dir holds, readlinkat(2), and returns its length.
func Readlinkat(dir int, name string, b *[4096]byte) (int, syscall.Errno) {
	var p path
	if e := p.set(name); e != 0 {
		return 0, e
	}
	n, _, e := syscall.RawSyscall6(syscall.SYS_READLINKAT, uintptr(dir), uintptr(unsafe.Pointer(&p)), uintptr(unsafe.Pointer(b)), uintptr(len(b)), 0, 0)
	return int(n), e
}

// Execve executes a file, or, without one, that which is open as fd, with lists made by Memory.Pointers. It returns when that failed.
func Execve(fd int, file string, argv, envp unsafe.Pointer) syscall.Errno {
	if file == "" {
		_, _, e := syscall.RawSyscall6(sysExecveat, uintptr(fd), empty(), uintptr(argv), uintptr(envp), AtEmptyPath, 0)
		return e
	}
	var p path
	if e := p.set(file); e != 0 {
		return e
	}
	_, _, e := syscall.RawSyscall(syscall.SYS_EXECVE, uintptr(unsafe.Pointer(&p)), uintptr(argv), uintptr(envp))
	return e
}

// Umask sets the mask of the modes of new files.
func Umask(mask uintptr) { _ = Call3(syscall.SYS_UMASK, mask, 0, 0) }

// Exit ends the process: should a seccomp filter of the container's not let it exit, by a fault, which kills the first process of
// a namespace too.
func Exit(status int) {
	_ = Call3(syscall.SYS_EXIT_GROUP, uintptr(status), 0, 0)
	_ = Call3(syscall.SYS_EXIT, uintptr(status), 0, 0)
	fault(nil)
}

// fault writes to nowhere, for ever.
func fault(nowhere *int) {
	for {
		*nowhere = 0
	}
}
