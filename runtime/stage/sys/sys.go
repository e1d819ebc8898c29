// Package sys is the system calls of package stage that package syscall does not have. Like stage it imports only syscall and
// unsafe; all of it can be used before any other package is initialised. An errno of 0 is success.
package sys

import (
	"syscall"
	"unsafe"
)

// System calls since 5.1 have the same number on every architecture; package syscall does not know them.
const (
	sysOpenTree     = 428
	sysMoveMount    = 429
	SysFsopen       = 430
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
	AtSymlinkNoFollow = 0x100
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

// Call1 calls the kernel with one argument.
//
// All that may take a while goes past the Go scheduler: RawSyscall. Where package syscall would tell it, another thread
// would take over what else there is to run, which is nothing, and this one would wait to get its place back.
//
// The pragma keeps what an argument was converted from where it is until the call returns, as for the
// functions of package syscall.
//
//go:uintptrescapes
func Call1(trap, a uintptr) syscall.Errno {
	_, _, e := syscall.RawSyscall(trap, a, 0, 0)
	return e
}

// Call3 is Call1 with three arguments.
//
//go:uintptrescapes
func Call3(trap, a, b, c uintptr) syscall.Errno {
	_, _, e := syscall.RawSyscall(trap, a, b, c)
	return e
}

// CString returns s with a NUL at its end; a name with a NUL in it is cut there, as the kernel would.
// Converting it to uintptr in the call itself keeps it alive until the call returns.
func CString(s string) unsafe.Pointer {
	b := make([]byte, len(s)+1)
	copy(b, s)
	return unsafe.Pointer(&b[0])
}

// Close closes a descriptor that is not below zero.
func Close(fd int) {
	if fd >= 0 {
		_ = syscall.Close(fd)
	}
}

// Openat2 opens path at dir, closed at exec, as openat2(2), Linux 5.6. It retries EAGAIN, which RESOLVE_IN_ROOT gives when a rename elsewhere crossed its way.
func Openat2(dir int, path string, flags, resolve uint64) (int, syscall.Errno) {
	how := [3]uint64{flags | syscall.O_CLOEXEC, 0, resolve}
	var fd uintptr
	var e syscall.Errno
	for range 1000 {
		fd, _, e = syscall.RawSyscall6(sysOpenat2, uintptr(dir), uintptr(CString(path)), uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how), 0, 0)
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
	_, _, e := syscall.RawSyscall6(sysMoveMount, uintptr(from), uintptr(CString("")), uintptr(to), uintptr(CString("")), moveFromEmpty|moveToEmpty, 0)
	return e
}

// CloneMount returns a detached copy of the mount at fd, with all mounts below it when recursive.
func CloneMount(fd int, recursive bool) (int, syscall.Errno) {
	flags := uintptr(openTreeClone | syscall.O_CLOEXEC | AtEmptyPath)
	if recursive {
		flags |= AtRecursive
	}
	r, _, e := syscall.RawSyscall(sysOpenTree, uintptr(fd), uintptr(CString("")), flags)
	if e != 0 {
		return -1, e
	}
	return int(r), 0
}

// SetReadOnly sets MOUNT_ATTR_RDONLY on the mount at fd; flags may hold AT_RECURSIVE.
func SetReadOnly(fd int, flags uintptr) syscall.Errno {
	attr := [4]uint64{MountAttrRO, 0, 0, 0}
	_, _, e := syscall.RawSyscall6(sysMountSetattr, uintptr(fd), uintptr(CString("")), AtEmptyPath|flags, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	return e
}

// Fsconfig gives the filesystem context fd an option, or creates its filesystem, fsconfig(2).
func Fsconfig(fd, command int, key, value string) syscall.Errno {
	var k, v unsafe.Pointer
	if key != "" {
		k = CString(key)
	}
	if command == FsconfigString {
		v = CString(value)
	}
	_, _, e := syscall.RawSyscall6(sysFsconfig, uintptr(fd), uintptr(command), uintptr(k), uintptr(v), 0, 0)
	return e
}

// Prctl is prctl(2) with one argument.
func Prctl(option, a uintptr) syscall.Errno { return Prctl2(option, a, 0) }

// Prctl2 is prctl(2) with two arguments.
//
//go:uintptrescapes
func Prctl2(option, a, b uintptr) syscall.Errno {
	_, _, e := syscall.RawSyscall6(syscall.SYS_PRCTL, option, a, b, 0, 0, 0)
	return e
}

// WriteAll writes s in one call.
func WriteAll(fd int, s string) syscall.Errno {
	for {
		b := []byte(s)
		errno := Call3(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		if errno == syscall.EINTR {
			continue
		}
		return errno
	}
}
