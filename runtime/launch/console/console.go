// Package console receives the host's end of a terminal from an external OCI runtime.
package console

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Socket is where the runtime sends the terminal to (runc, docs/terminals.md: one message with one descriptor). Package
// net would cost every start its initialisation.
type Socket struct {
	Path string // as the runtime may open it
	dir  *os.File
	fd   int
}

// Listen makes the socket in dir. A socket's address is at most 107 bytes, so it is named
// through the descriptor of dir. The caller closes it.
func Listen(dir string) (*Socket, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	path := fmt.Sprintf("/proc/%d/fd/%d/console", os.Getpid(), d.Fd())
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	}
	if err == nil {
		err = unix.Listen(fd, 1)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for the terminal in %s: %w", dir, err)
	}
	return &Socket{Path: path, dir: d, fd: fd}, nil
}

// Close removes the socket.
func (c *Socket) Close() {
	_ = unix.Close(c.fd)
	_ = os.Remove(filepath.Join(c.dir.Name(), "console"))
	_ = c.dir.Close()
}

// Receive takes the terminal, which the runtime has sent by the time that its create has ended; the caller closes it.
func (c *Socket) Receive() (*os.File, error) {
	if err := unix.SetNonblock(c.fd, true); err != nil {
		return nil, err
	}
	conn, _, err := unix.Accept4(c.fd, unix.SOCK_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("receive the terminal: %w", err)
	}
	defer unix.Close(conn)
	name, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(conn, name, rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("receive the terminal: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("receive the terminal: %d control messages: %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("receive the terminal: %d descriptors: %w", len(fds), err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fds[0]), "/dev/ptmx"), nil
}
