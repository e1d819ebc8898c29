package launch

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/trace"
	"github.com/lrun-dev/lrun/runtime/cgroup"
	"github.com/lrun-dev/lrun/runtime/stage"
)

// Child is lrun's own executable in a container's new namespaces. It waits for its plan; until then
// nothing of the container runs.
type Child struct {
	spawned chan error // gets one value when process and socket are set, or there is an error
	asked   bool       // spawned has been read
	err     error
	process *Process
	socket  *os.File
}

// Spawn begins to start a child in new namespaces and, where v2 is mounted, in group, and returns at
// once, so that the caller can prepare what the child will need meanwhile: making namespaces and
// starting an executable take as long as all else. The child ends up in Start or must be abandoned.
func Spawn(namespaces []specs.LinuxNamespace, group *cgroup.Group) *Child {
	c := &Child{spawned: make(chan error, 1)}
	go func() {
		// A container may ask to die with the thread that made it, so this one stays until it has ended.
		runtime.LockOSThread()
		process, socket, exe, err := spawn(namespaces, group)
		c.process, c.socket = process, socket
		c.spawned <- err
		if exe != nil {
			_ = exe.Close() // it holds a mount, and the kernel takes half a millisecond to let go of one
		}
		if err == nil {
			process.reap()
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
func spawn(namespaces []specs.LinuxNamespace, group *cgroup.Group) (p *Process, socket, exe *os.File, err error) {
	attr := &syscall.SysProcAttr{}
	if attr.Cloneflags, err = cloneFlags(namespaces); err != nil {
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
	if exe, err = Executable(); err == nil {
		p, err = startSelf(attr, exe, pair[1])
	}
	if err != nil {
		return nil, nil, exe, errors.Join(err, socket.Close())
	}
	return p, socket, exe, nil
}

// startSelf starts lrun's own executable as a stage. It takes package syscall's way and not package os's, which
// starts another process first to see whether pidfds work.
func startSelf(attr *syscall.SysProcAttr, exe *os.File, socket int) (*Process, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	pidfd := -1
	attr.PidFD = &pidfd
	// A stage lives for milliseconds: threads for more processors and a garbage collector would only delay it.
	env := []string{stage.Variable + "=3", "GOMAXPROCS=1", "GOGC=off"}
	if beginning := trace.Beginning(); beginning != "" {
		env = append(env, stage.TraceVariable+"="+beginning)
	}
	pid, _, err := syscall.StartProcess(fmt.Sprintf("/proc/self/fd/%d", exe.Fd()), []string{"lrun-stage"}, &syscall.ProcAttr{
		Env:   env,
		Files: []uintptr{null.Fd(), null.Fd(), 2, uintptr(socket)},
		Sys:   attr,
	})
	if err != nil {
		return nil, fmt.Errorf("start the container's first process: %w", err)
	}
	return newProcess(pid, pidfd), nil
}

// cloneFlags are the namespaces to make, once those that are given by path have been joined. Of the cgroup namespace the
// child sees to itself: its root is the group that a process is in when it is made.
func cloneFlags(namespaces []specs.LinuxNamespace) (uintptr, error) {
	var flags uintptr
	for _, ns := range namespaces {
		flag, ok := map[specs.LinuxNamespaceType]uintptr{
			specs.MountNamespace: unix.CLONE_NEWNS, specs.PIDNamespace: unix.CLONE_NEWPID, specs.IPCNamespace: unix.CLONE_NEWIPC,
			specs.UTSNamespace: unix.CLONE_NEWUTS, specs.NetworkNamespace: unix.CLONE_NEWNET, specs.CgroupNamespace: 0,
		}[ns.Type]
		switch {
		case !ok:
			return 0, unsupported("a new %s namespace", ns.Type)
		case ns.Path == "":
			flags |= flag
		default:
			if err := join(ns, int(flag)); err != nil {
				return 0, err
			}
		}
	}
	return flags, nil
}

// join moves the calling thread into a namespace, and with that the child that it will make: of a pid namespace only
// children become members. The thread must be locked and end locked.
func join(ns specs.LinuxNamespace, flag int) error {
	if flag == 0 || flag == unix.CLONE_NEWNS {
		return unsupported("joining the %s namespace %s", ns.Type, ns.Path)
	}
	fd, err := unix.Open(ns.Path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the %s namespace %s: %w", ns.Type, ns.Path, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, flag); err != nil {
		return fmt.Errorf("join the %s namespace %s: %w", ns.Type, ns.Path, err)
	}
	return nil
}
