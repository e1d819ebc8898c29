package launch

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

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
	if f.Step < 0 || f.Step >= len(p.steps) {
		return fmt.Errorf("receive the start plan inside the container: %w", f.Errno)
	}
	s := p.steps[f.Step]
	if s.Op == stage.OpExec {
		return p.explainExec(f)
	}
	what := describe(s)
	if f.Detail != "" {
		what += " (" + f.Detail + ")"
	}
	if s.Flags&stage.NoSymlinks != 0 && errors.Is(f.Errno, unix.ELOOP) && (s.Op == stage.OpAttach || s.Op == stage.OpFilesystem) {
		return fmt.Errorf("%s: the image has a symbolic link there, which could redirect the mount: %w", what, f.Errno)
	}
	if s.Op == stage.OpLimit && f.Errno == unix.EPERM {
		return fmt.Errorf("%s: that is above the hard limit of lrun, which lacks CAP_SYS_RESOURCE to raise it, or above /proc/sys/fs/nr_open: %w", what, f.Errno)
	}
	return fmt.Errorf("%s: %w", what, f.Errno)
}

func describe(s stage.Step) string {
	switch s.Op {
	case stage.OpJoin:
		return "join cgroup " + s.Path
	case stage.OpHostname:
		return fmt.Sprintf("set host name %q", s.Path)
	case stage.OpDomain:
		return fmt.Sprintf("set domain name %q", s.Path)
	case stage.OpLoopback:
		return "bring the loopback interface up"
	case stage.OpRoot:
		return "attach the container's root at " + s.Path
	case stage.OpAttach, stage.OpInside:
		return "mount on " + s.Path + " inside the container"
	case stage.OpFilesystem:
		return "mount " + s.Data[0] + " on " + s.Path + " inside the container"
	case stage.OpMask:
		return "mask " + s.Path
	case stage.OpReadOnly:
		return "make " + s.Path + " read-only"
	case stage.OpMkdir:
		return "make the working directory " + s.Path
	case stage.OpChdir:
		return "enter the working directory " + s.Path
	case stage.OpLimit:
		return "set the limit " + s.Path
	case stage.OpUser:
		return fmt.Sprintf("become user %d, group %d", s.Flags, s.Attr)
	default:
		return fmt.Sprintf("%s inside the container", opName(s))
	}
}

func opName(s stage.Step) string {
	switch s.Op {
	case stage.OpAttribute:
		return fmt.Sprintf("take the AppArmor profile %q", s.Path)
	case stage.OpUnshare:
		return "make a namespace"
	case stage.OpPivot:
		return "change the root directory"
	case stage.OpSession:
		return "start a session"
	case stage.OpStdio:
		return "set up a standard stream"
	case stage.OpSeccomp:
		return "load the seccomp filter"
	case stage.OpBounding, stage.OpCapabilities:
		return "set capabilities"
	case stage.OpDeathSignal:
		return "bind the container's life to lrun's"
	default:
		return fmt.Sprintf("do step %d", s.Op)
	}
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
