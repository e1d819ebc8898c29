package launch

import (
	"fmt"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime/launch/failure"
	"github.com/lrun-dev/lrun/runtime/spec"
	"github.com/lrun-dev/lrun/runtime/stage"
)

// ExecError says that all was ready but the program could not be executed.
type ExecError struct {
	Program string
	Reason  string
	Errno   syscall.Errno
}

// Error names the program and says why, in words.
func (e *ExecError) Error() string { return fmt.Sprintf("execute %q: %s", e.Program, e.Reason) }

// Unwrap returns the system's error number.
func (e *ExecError) Unwrap() error { return e.Errno }

// ExitCode is the shell's: 127 for a program that is not there, 126 for one that cannot be executed.
func (e *ExecError) ExitCode() int {
	if e.Errno == unix.ENOENT || e.Errno == unix.ENOTDIR {
		return 127
	}
	return 126
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("the built-in runtime does not do %s; try --runtime runc: %w", fmt.Sprintf(format, args...), errdefs.ErrNotImplemented)
}

// explain turns the child's report into an error that names what the failing step worked on.
func (p *planner) explain(f *stage.Failure) error {
	if f.Step == stage.HostKept {
		return fmt.Errorf("leave the host's mounts in the container's mount namespace: %w", f.Errno)
	}
	if f.Step < 0 || f.Step >= len(p.steps) {
		return fmt.Errorf("receive the start plan inside the container: %w", f.Errno)
	}
	s := p.steps[f.Step]
	if s.Op == stage.OpExec {
		return p.explainExec(f)
	}
	return failure.Of(s, f)
}

func (p *planner) explainExec(f *stage.Failure) error {
	process := p.request.Spec.Process
	e := &ExecError{Program: process.Args[0], Errno: f.Errno}
	file := f.Detail
	if file == "" {
		file = e.Program
	}
	switch f.Errno {
	case unix.ENOENT, unix.ENOTDIR:
		e.Reason = p.missing(f.Detail)
	case unix.EACCES:
		e.Reason = fmt.Sprintf("%s is a directory, or has no permission to be executed by uid %d", file, process.User.UID)
	case unix.ENOEXEC:
		e.Reason = fmt.Sprintf("%s is no program for this machine (exec format error: another architecture, or a script without #!)", file)
	case unix.E2BIG:
		e.Reason = "the arguments and the environment are larger than the kernel takes"
	default:
		e.Reason = file + ": " + f.Errno.Error()
	}
	return e
}

func (p *planner) missing(existing string) string {
	process := p.request.Spec.Process
	switch {
	case existing != "":
		return existing + " is there, but the interpreter or loader that it names is not in the image"
	case strings.Contains(process.Args[0], "/"):
		return "no such file in the container"
	default:
		path, _ := spec.LookupEnv(process.Env, "PATH")
		return fmt.Sprintf("not found in the container's PATH (%s)", path)
	}
}
