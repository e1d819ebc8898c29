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
	"io/fs"
	"os"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/trace"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/runtime/cgroup"
	"github.com/lrun-dev/lrun/runtime/launch/failure"
	"github.com/lrun-dev/lrun/runtime/launch/process"
	"github.com/lrun-dev/lrun/runtime/launch/userns"
	"github.com/lrun-dev/lrun/runtime/spec"
	"github.com/lrun-dev/lrun/runtime/stage"
)

// Request is what a start needs. Start closes none of its files.
type Request struct {
	Spec *specs.Spec
	// Root is the detached mount of the container's root.
	Root *os.File
	// AttachAt is a directory of the host at which External attaches Root for the runtime to find it.
	AttachAt string
	// UserNS is what the child was spawned with.
	UserNS spec.UserNamespace
	// Owners is the user namespace itself, by which mounts are mapped; nil when it is the host's.
	Owners *mount.Owners
	// OwnFilter says that the filter is the user's own, which may refuse what a start needs: it is loaded last.
	OwnFilter bool
	// Init runs the program as the child of a small init that reaps orphans and forwards signals.
	Init bool
	// Interactive gives the process an open standard input; otherwise it reads end of file.
	Interactive bool
	// Size is the first size of the process's terminal; nil leaves the kernel's.
	Size *unix.Winsize
	// DieWithParent kills the container when lrun's process ends.
	DieWithParent bool
	// Network is called with the process id once the namespaces exist and before anything runs in them.
	Network func(pid int) error
	// Sent is called when the child has its plan, before Start waits for it; nil for nothing.
	Sent func()
}

// Begun is what is made while a start is prepared. Its methods wait.
type Begun interface {
	// Child returns what becomes the container's first process, and the container's cgroup, where nil leaves the
	// process where lrun is.
	Child() (*Child, *cgroup.Group, error)
	// Filter returns the compiled seccomp program.
	Filter() (Filter, error)
}

// Process is a started container's first process.
type Process = process.Process

// Filter is a seccomp program and the flags of seccomp(2) that it is loaded with. The zero value is none.
type Filter struct {
	Program []byte
	Flags   uint32
}

// Start executes the program of r.Spec in the child of b, which it takes over. It returns once the program runs. When
// the program cannot be executed, the error is an *ExecError. Whatever fails, nothing of the attempt is left but what
// b has made: the cgroup, and a child that has to be abandoned.
func Start(ctx context.Context, r Request, b Begun) (p *Process, err error) {
	streams, err := openStreams(r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, streams.closeContainerEnds()) }()
	plan := &planner{request: r, begun: b, streams: streams}
	defer plan.close()
	err = plan.plan()
	if err == nil {
		trace.Step("plan made")
		err = plan.carryOut(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, streams.closeHostEnds())
	}
	return streams.process(plan.child.process), nil
}

// carryOut gives the waiting child the plan and waits until the program runs.
func (p *planner) carryOut(ctx context.Context) error {
	r, child := p.request, p.child
	socket, err := child.wait()
	if err != nil {
		return err
	}
	defer socket.Close()
	trace.Step("first process there")
	if r.UserNS.Own() {
		if err := userns.RaiseLimits(child.process.Pid, r.Spec.Process.Rlimits); err != nil {
			return err
		}
	}
	if adj := r.Spec.Process.OOMScoreAdj; adj != nil {
		if err := setOOMScoreAdj(child.process.Pid, *adj); err != nil {
			return err
		}
	}
	if r.Network != nil {
		if err := r.Network(child.process.Pid); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := p.send(socket); err != nil && !errors.Is(err, unix.EPIPE) { // whoever has failed already has reported why
		return fmt.Errorf("send the plan to process %d: %w", child.process.Pid, err)
	}
	if r.Sent != nil {
		r.Sent()
	}
	report, err := stage.Wait(int(socket.Fd()))
	if errors.Is(err, stage.ErrDied) {
		return failure.Early(child.process.Pid, r.Spec.Process.Args[0], r.OwnFilter)
	}
	if err != nil {
		return fmt.Errorf("read the report of process %d: %w", child.process.Pid, err)
	}
	if report != nil {
		return p.explain(report)
	}
	return nil
}

// setOOMScoreAdj changes how gladly the kernel kills a process, which waits for its plan and has its number until then.
func setOOMScoreAdj(pid, adj int) error {
	err := os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(strconv.Itoa(adj)), 0)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("set oom_score_adj to %d: that is below lrun's own, and lrun lacks CAP_SYS_RESOURCE: %w", adj, err)
	}
	if err != nil {
		return fmt.Errorf("set oom_score_adj to %d: %w", adj, err)
	}
	return nil
}
