package stage

import (
	"syscall"
	"unsafe"

	"github.com/lrun-dev/lrun/runtime/stage/sys"
)

// session starts a new one, so that the host's terminal is out of reach, and takes the container's.
func (c *child) session(s *Step) syscall.Errno {
	if errno := sys.Call3(syscall.SYS_SETSID, 0, 0, 0); errno != 0 {
		return errno
	}
	if errno := newKeyring(); errno != 0 {
		return errno
	}
	if s.FD < 0 {
		return 0
	}
	return sys.Call3(syscall.SYS_IOCTL, uintptr(c.fd(s)), syscall.TIOCSCTTY, 0)
}

// newKeyring leaves the host's session keyring for an empty one of the container's own. Where the kernel has no keys, or a
// filter around lrun itself forbids the call, the container cannot use any either.
func newKeyring() syscall.Errno {
	errno := sys.Call3(syscall.SYS_KEYCTL, sys.KeyctlJoinSession, 0, 0)
	if errno == syscall.ENOSYS || errno == syscall.EPERM {
		return 0
	}
	return errno
}

func (c *child) stdio(s *Step) syscall.Errno {
	if s.FD >= 0 {
		return sys.Call3(syscall.SYS_DUP3, uintptr(c.fd(s)), uintptr(s.Flags), 0)
	}
	null, errno := c.null(syscall.O_RDWR)
	if errno != 0 {
		c.detail = "/dev/null"
		return errno
	}
	defer sys.Close(null)
	return sys.Call3(syscall.SYS_DUP3, uintptr(null), uintptr(s.Flags), 0)
}

func setLimit(s *Step) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, 0, uintptr(s.Flags), uintptr(unsafe.Pointer(&s.Blob[0])), 0, 0, 0)
	return errno
}

// loadSeccomp needs CAP_SYS_ADMIN or no_new_privs: it runs before capabilities are dropped.
func loadSeccomp(filter []byte, flags uintptr) syscall.Errno {
	program := struct {
		length  uint16
		filters *byte
	}{uint16(len(filter) / 8), &filter[0]}
	_, _, errno := syscall.RawSyscall(sys.SysSeccomp, sys.SeccompSetModeFilter, flags, uintptr(unsafe.Pointer(&program)))
	return errno
}

// dropBounding stops at the first number that the kernel does not know.
func dropBounding(kept uint64) syscall.Errno {
	for capability := range uintptr(64) {
		if kept&(1<<capability) != 0 {
			continue
		}
		if errno := sys.Prctl(sys.PrCapbsetDrop, capability); errno != 0 {
			if errno == syscall.EINVAL {
				return 0
			}
			return errno
		}
	}
	return 0
}

// chdir follows no magic link: /proc/self/fd/N would lead to whatever this process still has open
// (CVE-2024-21626). A directory that root may not enter is tried again as the container's user.
func (c *child) chdir(s *Step) syscall.Errno {
	fd, errno := sys.Openat2(-100, s.Path, sys.OPath|syscall.O_DIRECTORY, inRoot)
	if errno == 0 {
		errno = sys.Enter(fd)
		sys.Close(fd)
	}
	if errno == syscall.EACCES && c.retry == "" {
		c.retry = s.Path
		return 0
	}
	return errno
}

// become changes only this thread: the others vanish at exec.
func (c *child) become(s *Step) syscall.Errno {
	if errno := sys.Prctl(sys.PrSetKeepCaps, 1); errno != 0 {
		return errno
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETGROUPS, uintptr(len(s.Blob)/4), uintptr(unsafe.Pointer(unsafe.SliceData(s.Blob))), 0); errno != 0 {
		return errno
	}
	if errno := sys.Call3(syscall.SYS_SETRESGID, uintptr(s.Attr), uintptr(s.Attr), uintptr(s.Attr)); errno != 0 {
		return errno
	}
	if errno := sys.Call3(syscall.SYS_SETRESUID, uintptr(s.Flags), uintptr(s.Flags), uintptr(s.Flags)); errno != 0 {
		return errno
	}
	if errno := sys.Prctl(sys.PrSetKeepCaps, 0); errno != 0 {
		return errno
	}
	if c.retry == "" {
		return 0
	}
	return c.chdir(&Step{Path: c.retry})
}

func setCapabilities(s *Step) syscall.Errno {
	d := decoder{b: s.Blob}
	effective, permitted, inheritable, ambient := d.number(), d.number(), d.number(), d.number()
	header := struct {
		version uint32
		pid     int32
	}{version: 0x20080522}
	data := [6]uint32{
		uint32(effective), uint32(permitted), uint32(inheritable),
		uint32(effective >> 32), uint32(permitted >> 32), uint32(inheritable >> 32),
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data)), 0); errno != 0 {
		return errno
	}
	if errno := sys.Prctl(sys.PrCapAmbient, sys.AmbientClear); errno != 0 && errno != syscall.EINVAL {
		return errno
	}
	for capability := range uintptr(64) {
		if ambient&(1<<capability) == 0 {
			continue
		}
		if errno := sys.Prctl2(sys.PrCapAmbient, sys.AmbientRaise, capability); errno != 0 {
			return errno
		}
	}
	return 0
}

// dieWithParent comes after the last change of credentials, which clears the request. The parent may
// have gone before: then its end of the socket is closed.
func (c *child) dieWithParent(signal uint64) syscall.Errno {
	if errno := sys.Prctl(sys.PrSetPdeathsig, uintptr(signal)); errno != 0 {
		return errno
	}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(c.socket), uintptr(unsafe.Pointer(&[1]byte{})), 1, syscall.MSG_DONTWAIT|syscall.MSG_PEEK, 0, 0)
	if errno == syscall.EAGAIN {
		return 0
	}
	sys.Exit(exitStatus)
	return errno
}

// seal lets nothing but the three standard streams reach the program.
func (c *child) seal() syscall.Errno {
	if errno := sys.Call3(sys.SysCloseRange, 3, ^uintptr(0)>>1&0x7fffffff, 4); errno != 0 { // CLOSE_RANGE_CLOEXEC
		return errno
	}
	// Where there is a Go runtime it catches every signal, and so leaves the default to the program, but the first two if lrun was started
	// with them ignored, as a shell's background job is. The third it sends itself to whoever has run for 10 ms, and to return
	// from that is a system call, which a filter may forbid.
	for _, signal := range [...]uintptr{uintptr(syscall.SIGHUP), uintptr(syscall.SIGINT), uintptr(syscall.SIGURG)} {
		// struct sigaction: SIG_DFL, no flags, no mask
		_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, signal, uintptr(unsafe.Pointer(&[4]uint64{})), 0, 8, 0, 0)
	}
	// And no signal is blocked, whoever started lrun.
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, 2, uintptr(unsafe.Pointer(&[1]uint64{})), 0, 8, 0, 0) // SIG_SETMASK
	c.sealed = errno == 0
	return errno
}

// exec executes the container's program. None of its system calls may let the Go scheduler make others: a filter may forbid
// them.
func (c *child) exec(s *Step) syscall.Errno {
	if !c.sealed {
		if errno := c.seal(); errno != 0 {
			return errno
		}
	}
	_ = sys.Write(c.socket, string(rune(executing)))
	argv, envp := c.memory.Pointers(s.Data), c.memory.Pointers(s.Env)
	if s.FD >= 0 {
		return sys.Execve(c.fd(s), "", argv, envp)
	}
	d := decoder{b: s.Blob}
	result := syscall.ENOENT
	for _, file := range d.strings(&c.memory) {
		errno := sys.Execve(-1, file, argv, envp)
		if errno == syscall.ENOENT && sys.Exists(file) {
			c.detail = file // an interpreter or loader that is missing
			return errno
		}
		if errno == syscall.ENOENT || errno == syscall.ENOTDIR {
			continue
		}
		c.detail, result = file, errno
		if errno != syscall.EACCES {
			break
		}
	}
	return result
}
