// Package process is a started process: what becomes of it, and signals to it.
package process

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Process is a started container's first process, with the host's ends of its streams. With a
// terminal Console is set, else Stdin (if interactive), Stdout and Stderr. The caller closes them.
type Process struct {
	Pid     int
	Console *os.File
	Stdin   *os.File
	Stdout  *os.File
	Stderr  *os.File

	pidfd *os.File
	ended chan struct{} // closed when code and err are set
	code  int
	err   error
}

// New returns the child pid of this process, with its pidfd, or -1. Nobody waits for it before Reap does.
func New(pid, pidfd int) *Process {
	p := &Process{Pid: pid, ended: make(chan struct{})}
	if pidfd >= 0 {
		p.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
	}
	return p
}

// Reap waits for the process, which must be this one's child, and lets Wait return.
func (p *Process) Reap() {
	defer close(p.ended)
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(p.Pid, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			p.code, p.err = -1, fmt.Errorf("wait for process %d: %w", p.Pid, err)
		case status.Signaled():
			p.code = 128 + int(status.Signal())
		default:
			p.code = status.ExitStatus()
		}
		return
	}
}

// Wait waits for the process and returns its exit code in the shell's form: 128+n after signal n.
func (p *Process) Wait() (int, error) {
	<-p.ended
	return p.code, p.err
}

// Signal sends a signal to the process, never to another that has its number by now. That it has ended
// is os.ErrProcessDone.
func (p *Process) Signal(s syscall.Signal) error {
	if p.pidfd == nil {
		return os.ErrProcessDone
	}
	err := unix.PidfdSendSignal(int(p.pidfd.Fd()), s, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}
