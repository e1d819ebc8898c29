// Package launch is the built-in runtime: it starts a process by an OCI configuration.
//
// The parent prepares all it can as detached mounts, held by descriptor, while the child is already
// starting; the child (package stage) puts them into place in its own namespaces, drops what it must
// not keep, and executes the container's program.
package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/trace"
	"github.com/lrun-dev/lrun/runtime/cgroup"
	"github.com/lrun-dev/lrun/runtime/stage"
)

// Request is what a start needs. Start closes none of its files.
type Request struct {
	Spec *specs.Spec
	// Root is the detached mount of the container's root.
	Root *os.File
	// AttachAt is a directory of the host at which the child attaches Root in its own mount namespace,
	// where only the child sees it.
	AttachAt string
	// Group is the container's cgroup; nil leaves the process where lrun is.
	Group *cgroup.Group
	// Filter is the compiled seccomp program; empty means none.
	Filter []byte
	// Init runs the program as the child of a small init that reaps orphans and forwards signals.
	Init bool
	// Interactive gives the process an open standard input; otherwise it reads end of file.
	Interactive bool
	// Size is the first size of the process's terminal; nil leaves the kernel's.
	Size *unix.Winsize
	// DieWithParent kills the container when the thread that called Start ends.
	DieWithParent bool
	// Network is called with the process id once the namespaces exist and before anything runs in them.
	Network func(pid int) error
}

// Process is a started container's first process, with the host's ends of its streams. With a
// terminal Console is set, else Stdin (if interactive), Stdout and Stderr. The caller closes them.
type Process struct {
	Pid     int
	Console *os.File
	Stdin   *os.File
	Stdout  *os.File
	Stderr  *os.File

	process *os.Process
}

// Start executes the program of r.Spec in a new container. It returns once the program runs. When the program
// cannot be executed, the error is an *ExecError. Whatever fails, nothing of the attempt is left but
// the cgroup, which is the caller's.
//
// Start must run on a goroutine that is locked to its thread for as long as the container lives when
// DieWithParent is set.
func Start(ctx context.Context, r Request) (p *Process, err error) {
	streams, err := openStreams(r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, streams.closeContainerEnds()) }()
	child, socket, err := spawn(r)
	if err != nil {
		return nil, errors.Join(err, streams.closeHostEnds())
	}
	defer socket.Close()
	trace.Step("first process spawned")
	if err := direct(ctx, r, child.Pid, socket, streams); err != nil {
		_ = child.Kill()
		_, _ = child.Wait()
		return nil, errors.Join(err, streams.closeHostEnds())
	}
	return &Process{
		Pid: child.Pid, process: child,
		Console: streams.console, Stdin: streams.stdin, Stdout: streams.stdout, Stderr: streams.stderr,
	}, nil
}

// Wait waits for the process and returns its exit code in the shell's form: 128+n after signal n.
func (p *Process) Wait() (int, error) {
	state, err := p.process.Wait()
	if err != nil {
		return -1, fmt.Errorf("wait for process %d: %w", p.Pid, err)
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return state.ExitCode(), nil
}

// Signal sends a signal to the process. That it has ended is os.ErrProcessDone.
func (p *Process) Signal(s syscall.Signal) error { return p.process.Signal(s) }

// spawn starts lrun's own executable in the new namespaces; it waits there for its plan.
func spawn(r Request) (*os.Process, *os.File, error) {
	flags, err := cloneFlags(r.Spec)
	if err != nil {
		return nil, nil, err
	}
	exe, err := Executable()
	if err != nil {
		return nil, nil, err
	}
	defer exe.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	defer null.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make socket pair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "stage"), os.NewFile(uintptr(pair[1]), "stage")
	defer theirs.Close()
	attr := &os.ProcAttr{
		Env:   []string{stage.Variable + "=3"},
		Files: []*os.File{null, null, os.Stderr, theirs},
		Sys:   &syscall.SysProcAttr{Cloneflags: flags},
	}
	if r.Group != nil {
		dir, err := r.Group.FD()
		if err != nil {
			return nil, nil, errors.Join(err, ours.Close())
		}
		if dir != nil {
			defer dir.Close()
			attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, int(dir.Fd())
		}
	}
	child, err := os.StartProcess(fmt.Sprintf("/proc/self/fd/%d", exe.Fd()), []string{"lrun-stage"}, attr)
	runtime.KeepAlive(exe)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("start the container's first process: %w", err), ours.Close())
	}
	return child, ours, nil
}

// direct gives the waiting child its plan and waits until the program runs.
func direct(ctx context.Context, r Request, pid int, socket *os.File, streams *streams) error {
	if r.Network != nil {
		if err := r.Network(pid); err != nil {
			return err
		}
	}
	p := &planner{request: r, streams: streams}
	defer p.close()
	if err := p.plan(); err != nil {
		return err
	}
	trace.Step("plan made")
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := p.send(socket); err != nil {
		return fmt.Errorf("send the plan to process %d: %w", pid, err)
	}
	failure, err := stage.Wait(int(socket.Fd()))
	if err != nil {
		return fmt.Errorf("read the report of process %d: %w", pid, err)
	}
	if failure != nil {
		return p.explain(failure)
	}
	return nil
}

// cloneFlags are the namespaces to make. Joining one by path is not part of a plain run.
func cloneFlags(s *specs.Spec) (uintptr, error) {
	var flags uintptr
	for _, ns := range s.Linux.Namespaces {
		if ns.Path != "" {
			return 0, unsupported("joining the %s namespace %s", ns.Type, ns.Path)
		}
		flag, ok := map[specs.LinuxNamespaceType]uintptr{
			specs.MountNamespace: unix.CLONE_NEWNS, specs.PIDNamespace: unix.CLONE_NEWPID, specs.IPCNamespace: unix.CLONE_NEWIPC,
			specs.UTSNamespace: unix.CLONE_NEWUTS, specs.NetworkNamespace: unix.CLONE_NEWNET, specs.CgroupNamespace: unix.CLONE_NEWCGROUP,
		}[ns.Type]
		if !ok {
			return 0, unsupported("a new %s namespace", ns.Type)
		}
		flags |= flag
	}
	return flags, nil
}

// Executable returns lrun's own program through a read-only mount that nothing else can reach: a
// container that opens /proc/self/exe for writing gets EROFS (CVE-2019-5736).
func Executable() (*os.File, error) {
	tree, err := unix.OpenTree(unix.AT_FDCWD, "/proc/self/exe", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("clone the mount of lrun's executable: %w", err)
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return nil, errors.Join(fmt.Errorf("make the mount of lrun's executable read-only: %w", err), unix.Close(tree))
	}
	return os.NewFile(uintptr(tree), "/proc/self/fd/"+strconv.Itoa(tree)), nil
}
