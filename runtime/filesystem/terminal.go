package filesystem

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// OpenTerminal opens a new terminal of a devpts, by the mount's descriptor: the host's end and the container's. size is its
// first; nil leaves the kernel's. The caller closes both.
func OpenTerminal(devpts *os.File, size *unix.Winsize) (host, container *os.File, err error) {
	fd, err := unix.Openat(int(devpts.Fd()), "ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open terminal: %w", err)
	}
	host = os.NewFile(uintptr(fd), "/dev/ptmx")
	peer, err := openPeer(fd, size)
	if err != nil {
		return nil, nil, errors.Join(err, host.Close())
	}
	return host, os.NewFile(peer, "/dev/pts/0"), nil
}

func openPeer(fd int, size *unix.Winsize) (uintptr, error) {
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return 0, fmt.Errorf("unlock terminal: %w", err)
	}
	if size != nil {
		if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, size); err != nil {
			return 0, fmt.Errorf("set the terminal's size: %w", err)
		}
	}
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return 0, fmt.Errorf("open the terminal's other end: %w", errno)
	}
	return peer, nil
}
