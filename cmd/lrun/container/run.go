package container

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/cmd/lrun/container/foreground"
	"github.com/lrun-dev/lrun/cmd/lrun/container/rootdir"
	"github.com/lrun-dev/lrun/cmd/lrun/container/settings"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/command"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/image/builtin"
	"github.com/lrun-dev/lrun/internal/trace"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/runtime/launch"
	"github.com/lrun-dev/lrun/runtime/mountpoint"
	"github.com/lrun-dev/lrun/runtime/selinux"
	"github.com/lrun-dev/lrun/snapshot"
)

func runCommand(e *env.Env) *cli.Command {
	o := &settings.Options{}
	return &cli.Command{
		Usage:     "make a container and run a program in it",
		ArgsUsage: "IMAGE [COMMAND] [ARGUMENT...]",
		Description: `Without COMMAND the image's own is run. The exit code is the program's, 128+n when signal n ended it, 127 when the
program is not in the image, 126 when it cannot be executed, 125 when lrun failed.

  lrun run --rm @hello
  lrun run -it --rm -v "$PWD":/work -w /work debian bash`,
		Flags: append(o.Flags(), e.DriverFlag()),
		Action: func(c *cli.Context) error {
			if err := o.Given(c.IsSet); err != nil {
				return err
			}
			return runRun(c.Context, e, o, operands(o, c.Args().Slice()))
		},
	}
}

// runRun resolves the image, prepares the root, makes the container, starts it, waits, and cleans up.
func runRun(ctx context.Context, e *env.Env, o *settings.Options, args []string) error {
	trace.Step("command line read")
	if o.Rootfs == "" && builtin.Is(args[0]) {
		ctx, signals := foreground.Catch(ctx)
		defer signals.Stop()
		return runBuiltin(ctx, e, o, args, signals)
	}
	c, claim, err := newContainer(ctx, e, o, args)
	if err != nil {
		return err
	}
	// The first process is made while all else is, even before signals are caught.
	pending := containers(e).Begin(c)
	ctx, signals := foreground.Catch(ctx)
	defer signals.Stop()
	if err := create(ctx, e, o, &c, claim, args); err != nil {
		return errors.Join(err, discard(ctx, e, o, claim, pending.Abandon()))
	}
	trace.Step("container made")
	return runToEnd(ctx, e, c, claim, pending, signals)
}

// runToEnd runs a container that is complete, and removes it after --rm. It closes the claim.
func runToEnd(ctx context.Context, e *env.Env, c runtime.Container, claim *runtime.Claim, pending *runtime.Pending,
	signals *foreground.Signals,
) (err error) {
	cleanup := context.WithoutCancel(ctx)
	claimed, ran, removed := true, false, !c.Remove
	done := func(err error) error {
		if !claimed {
			return err
		}
		claimed = false
		switch {
		case !removed:
			return errors.Join(err, claim.Done(containers(e).Delete(cleanup, c.ID, releaser(e))))
		case ran: // what could not be freed is left to the sweep
			return claim.Done(err)
		}
		return errors.Join(err, claim.Close())
	}
	defer func() { err = done(err) }()
	terminal, err := foreground.Open(e, c)
	if err != nil {
		return errors.Join(err, pending.Abandon())
	}
	defer func() { err = errors.Join(err, terminal.Restore()) }()
	a, err := start(ctx, e, c, pending, runtime.StartOptions{DieWithParent: true, Size: terminal.Size(), Sent: signals.Listen})
	if err != nil {
		return exitWith(err)
	}
	ran = true
	trace.Step("started")
	signals.Forward(a)
	copying := foreground.Attach(e, c, a, terminal)
	code, err := a.Wait()
	if err != nil {
		return err
	}
	trace.Step("program ended")
	err = finish(cleanup, e, c, a, code)
	removed = removed || err == nil
	err = done(err) // who wants the container need not wait until somebody reads its last output
	if err = errors.Join(err, copying.Wait()); err != nil {
		return command.Exit(125, err)
	}
	trace.Step("finished")
	if code != 0 {
		return command.Exit(code, outOfMemory(c, a, code))
	}
	return nil
}

// outOfMemory says why a program was killed that was for want of memory; nil: it was not.
func outOfMemory(c runtime.Container, a *runtime.Active, code int) error {
	const killed = 128 + int(unix.SIGKILL)
	if code != killed || !a.OOMKilled() {
		return nil
	}
	why := "the host ran out of memory"
	if limit := c.Settings.Limits.Memory; limit > 0 {
		why = "it reached its limit of " + units.BytesSize(float64(limit)) + " (--memory)"
	}
	return fmt.Errorf("container %s: the kernel killed its program for want of memory: %s", c.Name, why)
}

// finish ends a container's run, and after --rm the container.
func finish(ctx context.Context, e *env.Env, c runtime.Container, a *runtime.Active, code int) error {
	free := func() error { return a.Finish(ctx, code) }
	remove := func() error { return containers(e).DeleteEnded(ctx, c, releaser(e)) }
	switch {
	case !c.Remove:
		return free()
	case c.Runtime != "": // it wants the record's directory until it has let go of the root
		return errors.Join(free(), remove())
	}
	return both(free, remove)
}

// start mounts the container's root, held by a descriptor only, and starts its program.
func start(ctx context.Context, e *env.Env, c runtime.Container, pending *runtime.Pending, o runtime.StartOptions) (_ *runtime.Active, err error) {
	if o.Root, err = openRoot(ctx, e, c, pending); err != nil {
		return nil, errors.Join(err, pending.Abandon())
	}
	trace.Step("root mounted")
	a, err := pending.Start(ctx, c, o)
	return a, errors.Join(err, o.Root.Close())
}

func openRoot(ctx context.Context, e *env.Env, c runtime.Container, pending *runtime.Pending) (*os.File, error) {
	mounts, err := mountsOf(ctx, e, c, (*snapshot.Store).Mounts)
	if err != nil {
		return nil, err
	}
	root := mounts[0]
	if c.RootDir == "" {
		if root, err = mountpoint.Below(root, e.Root()); err != nil {
			return nil, err
		}
	}
	if root, err = selinux.Mount(root, c.Settings.Security.MountLabel); err != nil {
		return nil, err
	}
	owners, err := pending.Owners()
	if err != nil {
		return nil, err
	}
	if owners != nil {
		return root.OpenMapped(*owners)
	}
	return root.Open()
}

// mountsOf says how c's root is mounted. Only who holds the claim, to mount it, may ask Mounts, others Look.
func mountsOf(ctx context.Context, e *env.Env, c runtime.Container, ask func(*snapshot.Store, context.Context, string) ([]mount.Mount, error)) ([]mount.Mount, error) {
	roots, err := e.RootfsOf(c.Driver)
	if err != nil {
		return nil, err
	}
	if c.RootDir == "" {
		return ask(roots.Snapshots, ctx, c.ID)
	}
	method := mount.ByNumber // what any kernel can
	if driver, err := e.Driver(); err == nil && driver.Name == c.Driver {
		method = driver.Method
	}
	upper, err := roots.Snapshots.Path(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	m, err := rootdir.Mount(c, upper, method)
	return []mount.Mount{m}, err
}

// readRoot opens what the container's root shows, for reading only. The caller closes it.
func readRoot(ctx context.Context, e *env.Env, c runtime.Container) (*os.File, error) {
	roots, err := e.RootfsOf(c.Driver)
	if err != nil {
		return nil, err
	}
	if c.RootDir == "" {
		return roots.OpenRoot(ctx, c.ID)
	}
	upper, err := roots.Snapshots.Path(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	return rootdir.Open(c, upper)
}

// exitWith gives an error of a start its exit code: 126 or 127 when only the program was at fault.
func exitWith(err error) error {
	if failed, ok := errors.AsType[*launch.ExecError](err); ok {
		return command.Exit(failed.ExitCode(), err)
	}
	return command.Exit(125, err)
}

// executable is lrun's own program, for the built-in images.
func executable() (*os.File, error) { return os.Open("/proc/self/exe") }
