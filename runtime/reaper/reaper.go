// Package reaper is the init of a container: process 1 that starts the program, forwards signals to it
// and reaps orphans.
package reaper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Name is the argv[0] by which lrun's own executable knows that it is the init of a container.
const Name = "lrun-init"

// Main runs the program args[1:] (args[0] is "--") as its child: it forwards every signal to it, reaps orphans, and
// returns the exit code that the container has.
func Main(args []string) int {
	if len(args) < 2 || args[0] != "--" {
		fmt.Fprintf(os.Stderr, "usage: %s -- PROGRAM [ARGUMENT...]\n", Name)
		return 125
	}
	if err := unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&[]byte(Name + "\x00")[0])), 0, 0, 0); err != nil {
		fmt.Fprintf(os.Stderr, "lrun: name process: %v\n", err)
	}
	if os.Getpid() != 1 { // in another's pid namespace orphans come here only when asked for
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			fmt.Fprintf(os.Stderr, "lrun: adopt orphans: %v\n", err)
		}
	}
	// Each thread counts against the container's limits, and one that cannot be made would be the end of all.
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1) // it makes nothing to collect
	signals := make(chan os.Signal, 128)
	signal.Notify(signals)
	program, err := startProgram(args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "lrun: execute %q: %v\n", args[1], err)
		return exitCode(err)
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
		return 0, err
	}
	attr := &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Env: os.Environ(), Sys: &syscall.SysProcAttr{}}
	if _, err := unix.IoctlGetTermios(0, unix.TCGETS); err == nil {
		attr.Sys.Foreground, attr.Sys.Ctty = true, 0
	}
	program, err := os.StartProcess(path, args, attr)
	if err != nil {
		return 0, err
	}
	return program.Pid, nil
}

// exitCode is the shell's: 127 for a program that is not there, 126 for one that cannot be executed.
func exitCode(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return 127
	}
	return 126
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
