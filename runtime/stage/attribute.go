package stage

import "syscall"

// attribute writes to a file of the host's procfs about this very thread, before the container's tree hides it: its
// profile at the next exec. Anything else mounted at /proc would take the words and change nothing.
func (c *child) attribute(s *Step) syscall.Errno {
	result := syscall.ENOENT
	for _, path := range s.Data {
		c.detail = path
		fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0)
		if err == syscall.ENOENT {
			continue
		}
		if err != nil {
			return errnoOf(err)
		}
		result = writeAttribute(fd, string(s.Blob))
		closeFD(fd)
		break
	}
	if result == 0 {
		c.detail = ""
	}
	return result
}

func writeAttribute(fd int, value string) syscall.Errno {
	var st syscall.Statfs_t
	if errno := errnoOf(syscall.Fstatfs(fd, &st)); errno != 0 {
		return errno
	}
	if st.Type != procMagic {
		return syscall.EMEDIUMTYPE
	}
	return writeAll(fd, value)
}
