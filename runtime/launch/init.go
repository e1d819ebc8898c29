package launch

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// InitName is the argv[0] by which lrun's own executable knows that it is the init of a container.
const InitName = "lrun-init"

// Init runs the program args[1:] (args[0] is "--") as pid 1's child: it forwards every signal to it, reaps
// orphans, and returns the exit code that the container has.
func Init(args []string) int {
	if len(args) < 2 || args[0] != "--" {
		fmt.Fprintf(os.Stderr, "usage: %s -- PROGRAM [ARGUMENT...]\n", InitName)
		return 125
	}
	signals := make(chan os.Signal, 128)
	signal.Notify(signals)
	program, err := startProgram(args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "lrun: %v\n", err)
		var failed *ExecError
		if errors.As(err, &failed) {
			return failed.ExitCode()
		}
		return 125
	}
	for s := range signals {
		number, _ := s.(syscall.Signal)
		switch number {
		case unix.SIGCHLD:
			if code, ended := reap(program); ended {
				return code
			}
		case unix.SIGURG: // the Go scheduler's own
		default:
			_ = unix.Kill(program, number)
		}
	}
	return 125
}

// startProgram gives the program a process group of its own and, where there is a terminal, its foreground.
func startProgram(args []string) (int, error) {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return 0, &ExecError{Program: args[0], Reason: err.Error(), Errno: errnoOf(err)}
	}
	attr := &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Env: os.Environ(), Sys: &syscall.SysProcAttr{}}
	if _, err := unix.IoctlGetTermios(0, unix.TCGETS); err == nil {
		attr.Sys.Foreground, attr.Sys.Ctty = true, 0
	}
	program, err := os.StartProcess(path, args, attr)
	if err != nil {
		return 0, &ExecError{Program: args[0], Reason: err.Error(), Errno: errnoOf(err)}
	}
	return program.Pid, nil
}

func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	if errors.Is(err, exec.ErrNotFound) {
		return unix.ENOENT
	}
	return unix.EACCES
}

// reap collects every child that has ended; ended says that the program was among them.
func reap(program int) (code int, ended bool) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return code, ended
		}
		if pid != program {
			continue
		}
		ended, code = true, status.ExitStatus()
		if status.Signaled() {
			code = 128 + int(status.Signal())
		}
	}
}
