package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/trace"
	"github.com/lrun-dev/lrun/runtime/cgroup"
	"github.com/lrun-dev/lrun/runtime/launch"
	"github.com/lrun-dev/lrun/runtime/seccomp"
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
	Root    *os.File // the detached mount of the container's root; Start leaves it open
	Network Network  // nil: nothing to attach
	// DieWithParent ties the container's life to the calling thread, which must be locked.
	DieWithParent bool
	Size          *unix.Winsize // of the container's terminal, if it has one; nil: the kernel's default
}

// Active is a running container, in the hands of the process that started it.
type Active struct {
	*launch.Process

	store   *Store
	claim   *Claim
	c       Container
	group   *cgroup.Group
	network Network
	started State
}

// Start runs the program of c, whose claim the caller holds until the container has finished. On an
// error nothing runs and nothing is left but the record, which then says why.
func (s *Store) Start(ctx context.Context, claim *Claim, c Container, o StartOptions) (*Active, error) {
	a := &Active{store: s, claim: claim, c: c, network: o.Network}
	err := a.start(ctx, o)
	if err == nil {
		err = a.record()
	}
	if err != nil {
		err = errors.Join(err, a.undo(ctx))
		failed := State{Status: Exited, ExitCode: exitCode(err), FinishedAt: time.Now().UTC(), Error: err.Error()}
		if !c.Remove {
			err = errors.Join(err, s.writeState(c.ID, failed, atomicfile.Volatile))
		}
		return nil, err
	}
	return a, nil
}

func exitCode(err error) int {
	var failed *launch.ExecError
	if errors.As(err, &failed) {
		return failed.ExitCode()
	}
	return 125
}

func (a *Active) start(ctx context.Context, o StartOptions) error {
	identity, err := spec.ResolveUser(o.Root, a.c.Settings.User)
	if err != nil {
		return err
	}
	hierarchy, err := cgroup.Detect()
	if err != nil {
		return err
	}
	config, err := a.configuration(identity, hierarchy)
	if err != nil {
		return err
	}
	trace.Step("configuration made")
	if a.group, err = hierarchy.Create(config.Linux.CgroupsPath, config.Linux.Resources); err != nil {
		return err
	}
	trace.Step("cgroup made")
	request := launch.Request{
		Spec: config, Root: o.Root, AttachAt: a.store.RunDir(a.c.ID), Group: a.group,
		Init: a.c.Settings.Init, Interactive: a.c.Interactive, DieWithParent: o.DieWithParent, Size: o.Size,
	}
	if err := os.MkdirAll(request.AttachAt, 0o700); err != nil {
		return err
	}
	if o.Network != nil {
		request.Network = func(pid int) error { return o.Network.Attach(ctx, a.c.ID, pid) }
	}
	if a.c.Runtime != "" {
		trace.Step("filter compiled")
	a.Process, err = launch.StartExternal(ctx, request, a.c.Runtime, a.c.ID, filepath.Join(a.store.state, "external"))
		return err
	}
	if request.Filter, err = filter(config.Linux.Seccomp); err != nil {
		return err
	}
	a.Process, err = launch.Start(ctx, request)
	return err
}

func (a *Active) configuration(identity spec.Identity, hierarchy *cgroup.Hierarchy) (*specs.Spec, error) {
	settings := a.c.Settings
	settings.Mounts = append(a.store.fileMounts(a.c), settings.Mounts...)
	bounding, err := boundingSet()
	if err != nil {
		return nil, err
	}
	facts := spec.Facts{
		Identity: identity, Bounding: bounding, CgroupPath: "/lrun/" + a.c.ID, CgroupV2: onlyV2(hierarchy),
		Devices: spec.DefaultDevices(),
	}
	if settings.Privileged {
		if facts.Devices, err = spec.HostDevices(); err != nil {
			return nil, err
		}
	}
	if a.c.Runtime != "" && settings.Init {
		if facts.Init, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	config, err := spec.New(settings, facts)
	if err != nil || settings.Privileged {
		return config, err
	}
	config.Linux.Seccomp, err = seccomp.Default(config.Process.Capabilities.Bounding)
	return config, err
}

func onlyV2(h *cgroup.Hierarchy) bool {
	for _, m := range h.Mounts() {
		if !m.Unified {
			return false
		}
	}
	return true
}

func filter(profile *specs.LinuxSeccomp) ([]byte, error) {
	if profile == nil {
		return nil, nil
	}
	program, err := seccomp.Compile(profile)
	if err != nil {
		return nil, fmt.Errorf("compile the seccomp profile: %w", err)
	}
	return seccomp.Bytes(program), nil
}

// record writes that the container runs. A container that is removed at its end needs no durable record.
func (a *Active) record() error {
	start, _, err := processStart(a.Pid)
	if err != nil {
		return err
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	a.started = State{Status: Running, Pid: a.Pid, PidStart: start, BootID: boot, StartedAt: time.Now().UTC()}
	return a.store.writeState(a.c.ID, a.started, atomicfile.Volatile)
}

// undo takes back what a failed start has made.
func (a *Active) undo(ctx context.Context) error {
	var errs []error
	if a.group != nil {
		errs = append(errs, a.group.Kill())
	}
	if a.Process != nil {
		_, err := a.Process.Wait()
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
	if a.group != nil {
		errs = append(errs, a.group.Remove())
	}
	return errors.Join(append(errs, a.store.removeRunDir(a.c))...)
}
