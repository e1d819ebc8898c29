package launch

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/calm"
	"github.com/lrun-dev/lrun/internal/stack"
	"github.com/lrun-dev/lrun/internal/trace"
	"github.com/lrun-dev/lrun/runtime/cgroup"
	"github.com/lrun-dev/lrun/runtime/launch/process"
	"github.com/lrun-dev/lrun/runtime/launch/self"
	"github.com/lrun-dev/lrun/runtime/launch/userns"
	"github.com/lrun-dev/lrun/runtime/namespace"
	"github.com/lrun-dev/lrun/runtime/spec"
	"github.com/lrun-dev/lrun/runtime/stage"
)

// Child is lrun's own executable in a container's new namespaces. It waits for its plan; until then
// nothing of the container runs.
type Child struct {
	spawned chan error    // gets one value when process and socket are set, or there is an error
	taken   chan struct{} // closed when somebody has read it
	asked   bool          // spawned has been read
	err     error
	process *Process
	socket  *os.File
}

// Spawn begins to start a child in new namespaces, a user namespace with ids among them, and, where v2 is mounted, in group, and returns at
// once, so that the caller can prepare what the child will need meanwhile: making namespaces and
// starting an executable take as long as all else. The child ends up in Start or must be abandoned.
func Spawn(namespaces []specs.LinuxNamespace, ids spec.UserNamespace, group *cgroup.Group) *Child {
	c := &Child{spawned: make(chan error, 1), taken: make(chan struct{})}
	go func() {
		stack.Ensure()
		// A container may ask to die with the thread that made it, so this one stays until it has ended.
		runtime.LockOSThread()
		_ = calm.Usual() // only how exact timers are is at stake
		process, socket, exe, err := spawn(namespaces, ids, group)
		c.process, c.socket = process, socket
		c.spawned <- err
		// What follows are system calls that last, and would keep others from running here for a while.
		<-c.taken
		if exe != nil {
			_ = exe.Close() // it holds a mount, and the kernel takes half a millisecond to let go of one
		}
		if err == nil {
			process.Reap()
		}
	}()
	// The child first: what else there is to do must not delay it.
	runtime.Gosched()
	return c
}

// wait returns the socket of the child once it has been made.
func (c *Child) wait() (*os.File, error) {
	if !c.asked {
		c.err, c.asked = <-c.spawned, true
		close(c.taken)
	}
	return c.socket, c.err
}

// Abandon ends the child if it is still there. A child that could not be made is no error here.
func (c *Child) Abandon() error {
	socket, err := c.wait()
	if err != nil {
		return nil //nolint:nilerr // whoever needs the child is told
	}
	killed := c.process.Signal(unix.SIGKILL)
	if errors.Is(killed, os.ErrProcessDone) {
		killed = nil
	}
	_, waited := c.process.Wait()
	closed := socket.Close()
	if errors.Is(closed, os.ErrClosed) {
		closed = nil
	}
	return errors.Join(killed, waited, closed)
}

// spawn returns also what the child executes, for the caller to close.
func spawn(namespaces []specs.LinuxNamespace, ids spec.UserNamespace, group *cgroup.Group) (p *Process, socket, exe *os.File, err error) {
	attr := &syscall.SysProcAttr{}
	userns.Map(attr, ids)
	if attr.Cloneflags, err = namespace.Enter(namespaces); err != nil {
		return nil, nil, nil, err
	}
	if group != nil {
		dir, err := group.FD()
		if err != nil {
			return nil, nil, nil, err
		}
		if dir != nil {
			defer dir.Close()
			attr.UseCgroupFD, attr.CgroupFD = true, int(dir.Fd())
		}
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("make socket pair: %w", err)
	}
	defer unix.Close(pair[1])
	socket = os.NewFile(uintptr(pair[0]), "stage")
	if exe, err = self.Executable(); err == nil {
		p, err = startSelf(attr, exe, pair[1], leaves(attr))
	}
	if err != nil {
		return nil, nil, exe, errors.Join(err, socket.Close())
	}
	return p, socket, exe, nil
}

// leaves tells a child in a mount namespace of its own to leave the host's mounts while it waits.
func leaves(attr *syscall.SysProcAttr) string {
	if attr.Cloneflags&(unix.CLONE_NEWNS|unix.CLONE_NEWUSER) == unix.CLONE_NEWNS {
		return stage.Leave
	}
	return ""
}

// startSelf starts lrun's own executable as a stage. It takes package syscall's way and not package os's, which
// starts another process first to see whether pidfds work.
func startSelf(attr *syscall.SysProcAttr, exe *os.File, socket int, options string) (*Process, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	pidfd := -1
	attr.PidFD = &pidfd
	// A stage lives for milliseconds: threads for more processors and a garbage collector would only delay it.
	env := []string{stage.Variable + "=3" + options, "GOMAXPROCS=1", "GOGC=off"}
	if beginning := trace.Beginning(); beginning != "" {
		env = append(env, stage.TraceVariable+"="+beginning)
	}
	pid, _, err := syscall.StartProcess(fmt.Sprintf("/proc/self/fd/%d", exe.Fd()), []string{stage.Name}, &syscall.ProcAttr{
		Env:   env,
		Files: []uintptr{null.Fd(), null.Fd(), 2, uintptr(socket)},
		Sys:   attr,
	})
	if err != nil {
		return nil, fmt.Errorf("start the container's first process: %w", userns.Explain(attr, err))
	}
	return process.New(pid, pidfd), nil
}
