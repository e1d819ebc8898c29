package runtime

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/boot"
	"github.com/lrun-dev/lrun/internal/procstat"
	"github.com/lrun-dev/lrun/internal/trace"
	"github.com/lrun-dev/lrun/runtime/launch"
	"github.com/lrun-dev/lrun/runtime/source"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// Network joins a container's network namespace to what it may reach.
type Network interface {
	// Attach is called once the namespaces of process pid exist and before anything runs in them.
	Attach(ctx context.Context, id string, pid int) error
	// Detach undoes Attach; it may be called for a container that was never attached.
	Detach(ctx context.Context, id string) error
}

// StartOptions are what a start needs beside the record.
type StartOptions struct {
	Root    *os.File      // the detached mount of the container's root; Start leaves it open
	Network Network       // nil: nothing to attach
	Size    *unix.Winsize // of the container's terminal, if it has one; nil: the kernel's default
	// DieWithParent ends the container when this process ends.
	DieWithParent bool
	// Sent is called when all is made and the first process works alone. Nil: nobody has anything to do meanwhile.
	Sent func()
}

// Active is a running container, in the hands of the process that started it.
type Active struct {
	*launch.Process
	*Pending

	network   Network
	started   State
	oomKilled bool
}

// Start runs the program of c, which is the container that Begin was given, complete by now. On an
// error nothing runs and nothing is left but the record, which then says why.
func (p *Pending) Start(ctx context.Context, c Container, o StartOptions) (*Active, error) {
	p.c = c
	a := &Active{Pending: p, network: o.Network}
	<-p.known
	err := a.start(ctx, o)
	if err == nil {
		err = a.record()
	}
	if err != nil {
		err = errors.Join(err, a.undo(ctx))
		if !c.Remove {
			err = errors.Join(err, p.store.recordFailure(c.ID, err))
		}
		return nil, err
	}
	return a, p.joined.Close()
}

// recordFailure writes why a start failed. As with Docker, a container that never ran is still created, and one that
// ran before has still ended when it did; the exit code is the start's, 128 when the program is not at fault.
func (s *Store) recordFailure(id string, why error) error {
	st, err := s.recorded(id)
	if err != nil {
		return err
	}
	st.Status, st.Pid, st.PidStart, st.LrunPid, st.ExitCode, st.OOMKilled, st.Error = Exited, 0, 0, 0, 128, false, why.Error()
	if st.StartedAt.IsZero() {
		st.Status = Created
	}
	if failed, ok := errors.AsType[*launch.ExecError](why); ok {
		st.ExitCode = failed.ExitCode()
	}
	return s.writeState(id, st, atomicfile.Durable)
}

func (a *Active) start(ctx context.Context, o StartOptions) (err error) {
	external := a.c.Runtime != ""
	shares := a.c.Settings.Sharing != (spec.Sharing{}) // and whose files it shares may be gone
	if external || shares || a.hierarchy == nil {      // there is nothing to do meanwhile
		if err := a.wait(); err != nil {
			return err
		}
	}
	identity, err := spec.ResolveUser(o.Root, a.c.Settings.User, a.c.Settings.Tuning.Groups)
	if err != nil {
		return err
	}
	mounts, files, err := source.Resolve(a.c.Settings.Mounts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close(files)) }()
	config, err := a.configuration(identity, mounts)
	if err != nil {
		return err
	}
	trace.Step("configuration made")
	owners, err := a.Owners()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.closeOwners()) }()
	request := launch.Request{
		Spec: config, Root: o.Root, AttachAt: a.store.RunDir(a.c.ID),
		OwnFilter: a.c.Settings.Security.Seccomp != "" && spec.Filtered(a.c.Settings), Init: a.c.Settings.Init, Interactive: a.c.Interactive, DieWithParent: o.DieWithParent, Size: o.Size,
		UserNS: a.c.Settings.UserNS, Owners: owners, Sent: o.Sent,
	}
	if o.Network != nil {
		request.Network = func(pid int) error { return o.Network.Attach(ctx, a.c.ID, pid) }
	}
	if external {
		if err := os.MkdirAll(request.AttachAt, 0o700); err != nil {
			return err
		}
		a.Process, err = launch.StartExternal(ctx, request, a.c.Runtime, a.c.ID, a.store.External())
		return err
	}
	a.Process, err = launch.Start(ctx, request, begun{a.Pending})
	return err
}

// Wait waits for the container's first process and returns its exit code. Where the pid namespace is not the
// container's own, and so does not end with that process, the container's other processes are killed.
func (a *Active) Wait() (int, error) {
	code, err := a.Process.Wait()
	if a.c.Settings.Sharing.PID != "" {
		err = errors.Join(err, a.group.Kill())
	}
	return code, err
}

func (a *Active) configuration(identity spec.Identity, mounts []spec.Mount) (*specs.Spec, error) {
	settings := a.c.Settings
	settings.Mounts = append(a.store.fileMounts(a.c), mounts...)
	facts := spec.Facts{
		Identity: identity, Bounding: a.bounding, CgroupPath: cgroupPath(a.c.ID), CgroupV2: a.hierarchy.OnlyUnified(),
		Devices: spec.DefaultDevices(), Host: a.host,
		Joined: a.joined.Paths, SharedMemory: a.joined.Memory, AppArmor: a.appArmor,
	}
	var err error
	if settings.Privileged {
		if facts.Devices, err = spec.HostDevices(); err != nil {
			return nil, err
		}
	}
	if a.c.Runtime != "" {
		facts.Seccomp = a.profile // the built-in runtime takes the filter, which may still be being made
	}
	if a.c.Runtime != "" && settings.Init {
		if facts.Init, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	return spec.New(settings, facts)
}

// record writes that the container runs. A container that is removed at its end needs no durable record.
func (a *Active) record() error {
	first, err := procstat.Read(a.Pid)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ESRCH) { // it may have ended already
		return err
	}
	boot, err := boot.ID()
	if err != nil {
		return err
	}
	a.started = State{Status: Running, Pid: a.Pid, PidStart: first.Start, LrunPid: os.Getpid(), BootID: boot, PidNS: pidNamespace(), StartedAt: time.Now().UTC()}
	return a.store.writeState(a.c.ID, a.started, atomicfile.Volatile)
}

// undo takes back what a failed start has made.
func (a *Active) undo(ctx context.Context) error {
	errs := []error{a.Abandon()}
	if a.Process != nil {
		_, err := a.Wait()
		errs = append(errs, err)
	}
	return errors.Join(append(errs, a.release(ctx))...)
}

// release frees what a container has only while it runs.
func (a *Active) release(ctx context.Context) error {
	var errs []error
	if a.network != nil {
		errs = append(errs, a.network.Detach(ctx, a.c.ID))
	}
	return errors.Join(append(errs, a.removeGroup(), a.store.removeRunDir(ctx, a.c))...)
}
