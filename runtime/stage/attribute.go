package stage

import (
	"syscall"
	"unsafe"

	"github.com/lrun-dev/lrun/runtime/stage/sys"
)

// attribute writes to a file of the host's procfs about this very thread: its profile, now or at the next exec. Anything
// else mounted at /proc would take the words and change nothing.
func (c *child) attribute(s *Step) syscall.Errno {
	result := syscall.ENOENT
	for _, path := range s.Data {
		c.detail = path
		fd, errno := c.openAttribute(path)
		if errno == syscall.ENOENT {
			continue
		}
		if errno != 0 {
			return errno
		}
		result = writeAttribute(fd, unsafe.String(unsafe.SliceData(s.Blob), len(s.Blob)))
		sys.Close(fd)
		break
	}
	if result == 0 {
		c.detail = ""
	}
	return result
}

// openAttribute finds the host's procfs also when the host is gone, or the container's root has been entered.
func (c *child) openAttribute(path string) (int, syscall.Errno) {
	const procfs = "/proc/"
	dir := -100 // AT_FDCWD
	if len(path) > len(procfs) && path[:len(procfs)] == procfs {
		if c.proc < 0 {
			return -1, syscall.ENOENT
		}
		dir, path = c.proc, path[len(procfs):]
	}
	return sys.Openat2(dir, path, syscall.O_WRONLY|syscall.O_NOFOLLOW, 0)
}

func writeAttribute(fd int, value string) syscall.Errno {
	var st syscall.Statfs_t
	if _, _, errno := syscall.RawSyscall(syscall.SYS_FSTATFS, uintptr(fd), uintptr(unsafe.Pointer(&st)), 0); errno != 0 {
		return errno
	}
	if st.Type != sys.ProcMagic {
		return syscall.EMEDIUMTYPE
	}
	return sys.Write(fd, value)
}
