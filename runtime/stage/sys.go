package stage

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
	sysFsmount      = 432
	sysCloseRange   = 436
	sysOpenat2      = 437
	sysMountSetattr = 442
)

const (
	atFDCWD           = ^uintptr(99) // -100
	atEmptyPath       = 0x1000
	atRecursive       = 0x8000
	atSymlinkNoFollow = 0x100
	oPath             = 0x200000
	resolveNoMagic    = 0x02
	resolveNoSymlinks = 0x04
	resolveInRoot     = 0x10

	openTreeClone  = 1
	moveFromEmpty  = 0x04
	moveToEmpty    = 0x40
	mountAttrRO    = 1
	fsconfigFlag   = 0
	fsconfigString = 1
	fsconfigCreate = 6

	keyctlJoinSession = 1

	prSetPdeathsig, prSetDumpable, prSetKeepCaps = 1, 4, 8

	prCapbsetDrop   = 24
	prSetNoNewPrivs = 38
	prCapAmbient    = 47
	ambientRaise    = 2
	ambientClear    = 4

	seccompSetModeFilter = 1
	procMagic            = 0x9fa0
)

func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if e, ok := err.(syscall.Errno); ok { //nolint:errorlint // package errors is not initialised yet; syscall returns bare numbers
		return e
	}
	return syscall.EIO
}

// All that may take a while goes past the Go scheduler: RawSyscall. Where package syscall would tell it, another thread
// would take over what else there is to run, which is nothing, and this one would wait to get its place back.
//
// The pragma keeps what an argument was converted from where it is until the call returns, as for the
// functions of package syscall.
//
//go:uintptrescapes
func errno1(trap, a uintptr) syscall.Errno {
	_, _, e := syscall.RawSyscall(trap, a, 0, 0)
	return e
}

//go:uintptrescapes
func errno3(trap, a, b, c uintptr) syscall.Errno {
	_, _, e := syscall.RawSyscall(trap, a, b, c)
	return e
}

// cstring returns s with a NUL at its end; a name with a NUL in it is cut there, as the kernel would.
// Converting it to uintptr in the call itself keeps it alive until the call returns.
func cstring(s string) unsafe.Pointer {
	b := make([]byte, len(s)+1)
	copy(b, s)
	return unsafe.Pointer(&b[0])
}

func closeFD(fd int) {
	if fd >= 0 {
		_ = syscall.Close(fd)
	}
}

// openat2 retries EAGAIN, which RESOLVE_IN_ROOT gives when a rename elsewhere crossed its way.
func openat2(dir int, path string, flags, resolve uint64) (int, syscall.Errno) {
	how := [3]uint64{flags | syscall.O_CLOEXEC, 0, resolve}
	var fd uintptr
	var e syscall.Errno
	for range 1000 {
		fd, _, e = syscall.RawSyscall6(sysOpenat2, uintptr(dir), uintptr(cstring(path)), uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how), 0, 0)
		if e != syscall.EAGAIN && e != syscall.EINTR {
			break
		}
	}
	if e != 0 {
		return -1, e
	}
	return int(fd), 0
}

func moveMount(from, to int) syscall.Errno {
	_, _, e := syscall.RawSyscall6(sysMoveMount, uintptr(from), uintptr(cstring("")), uintptr(to), uintptr(cstring("")), moveFromEmpty|moveToEmpty, 0)
	return e
}

// cloneMount returns a detached copy of the mount at fd, with all mounts below it when recursive.
func cloneMount(fd int, recursive bool) (int, syscall.Errno) {
	flags := uintptr(openTreeClone | syscall.O_CLOEXEC | atEmptyPath)
	if recursive {
		flags |= atRecursive
	}
	r, _, e := syscall.RawSyscall(sysOpenTree, uintptr(fd), uintptr(cstring("")), flags)
	if e != 0 {
		return -1, e
	}
	return int(r), 0
}

// setReadOnly sets MOUNT_ATTR_RDONLY on the mount at fd; flags may hold AT_RECURSIVE.
func setReadOnly(fd int, flags uintptr) syscall.Errno {
	attr := [4]uint64{mountAttrRO, 0, 0, 0}
	_, _, e := syscall.RawSyscall6(sysMountSetattr, uintptr(fd), uintptr(cstring("")), atEmptyPath|flags, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	return e
}

func fsconfig(fd, command int, key, value string) syscall.Errno {
	var k, v unsafe.Pointer
	if key != "" {
		k = cstring(key)
	}
	if command == fsconfigString {
		v = cstring(value)
	}
	_, _, e := syscall.RawSyscall6(sysFsconfig, uintptr(fd), uintptr(command), uintptr(k), uintptr(v), 0, 0)
	return e
}

func prctl(option, a uintptr) syscall.Errno { return prctl2(option, a, 0) }

//go:uintptrescapes
func prctl2(option, a, b uintptr) syscall.Errno {
	_, _, e := syscall.RawSyscall6(syscall.SYS_PRCTL, option, a, b, 0, 0, 0)
	return e
}

func writeAll(fd int, s string) syscall.Errno {
	for {
		b := []byte(s)
		errno := errno3(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		if errno == syscall.EINTR {
			continue
		}
		return errno
	}
}
