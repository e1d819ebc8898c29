package container

import (
	"context"
	"errors"
	"os"
	goruntime "runtime"

	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/command"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/image/builtin"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/runtime/launch"
)

func runCommand(e *env.Env) *cli.Command {
	o := &createOptions{}
	return &cli.Command{
		Usage:     "make a container and run a program in it",
		ArgsUsage: "IMAGE [COMMAND] [ARGUMENT...]",
		Description: `Without COMMAND the image's own is run. The exit code is the program's, 128+n when signal n ended it, 127 when the
program is not in the image, 126 when it cannot be executed, 125 when lrun failed.

  lrun run --rm @hello
  lrun run -it --rm -v "$PWD":/work -w /work debian bash`,
		Flags: o.flags(e),
		Action: func(c *cli.Context) error {
			o.entrypointSet = c.IsSet("entrypoint")
			return runRun(c.Context, e, o, c.Args().Slice())
		},
	}
}

// runRun resolves the image, prepares the root, makes the container, starts it, waits, and cleans up.
func runRun(ctx context.Context, e *env.Env, o *createOptions, args []string) error {
	signals := catchSignals(ctx)
	defer signals.stop()
	ctx = signals.ctx
	if err := sweep(ctx, e); err != nil {
		return err
	}
	if builtin.Is(args[0]) {
		return runBuiltin(ctx, e, o, args, signals)
	}
	im, err := findImage(ctx, e, args[0])
	if err != nil {
		return err
	}
	c, claim, err := makeContainer(ctx, e, o, im, args)
	if err != nil {
		return err
	}
	return runToEnd(ctx, e, c, claim, signals)
}

// runToEnd runs a container that exists, and removes it after --rm. It closes the claim.
func runToEnd(ctx context.Context, e *env.Env, c runtime.Container, claim *runtime.Claim, signals *signals) (err error) {
	cleanup := context.WithoutCancel(ctx)
	defer func() {
		if c.Remove {
			err = errors.Join(err, containers(e).Delete(cleanup, c.ID, releaser(e)))
		}
		err = errors.Join(err, claim.Close())
	}()
	// The container dies with the thread that started it.
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	terminal, err := openTerminal(e, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, terminal.restore()) }()
	a, err := start(ctx, e, c, claim, terminal)
	if err != nil {
		return exitWith(err)
	}
	signals.forward(a)
	copying := attach(e, c, a, terminal)
	code, err := a.Wait()
	if err != nil {
		return err
	}
	if err := errors.Join(copying.wait(), a.Finish(cleanup, code)); err != nil {
		return command.Exit(125, err)
	}
	if code != 0 {
		return command.Exit(code, nil)
	}
	return nil
}

// start mounts the container's root, held by a descriptor only, and starts its program.
func start(ctx context.Context, e *env.Env, c runtime.Container, claim *runtime.Claim, terminal *terminal) (*runtime.Active, error) {
	mounts, err := mountsOf(ctx, e, c)
	if err != nil {
		return nil, err
	}
	root, err := mounts[0].Open()
	if err != nil {
		return nil, err
	}
	a, err := containers(e).Start(ctx, claim, c, runtime.StartOptions{Root: root, DieWithParent: true, Size: terminal.size()})
	return a, errors.Join(err, root.Close())
}

func mountsOf(ctx context.Context, e *env.Env, c runtime.Container) ([]mount.Mount, error) {
	roots, err := e.RootfsOf(c.Driver)
	if err != nil {
		return nil, err
	}
	return roots.Snapshots.Mounts(ctx, c.ID)
}

// exitWith gives an error of a start its exit code: 126 or 127 when only the program was at fault.
func exitWith(err error) error {
	var failed *launch.ExecError
	if errors.As(err, &failed) {
		return command.Exit(failed.ExitCode(), err)
	}
	return command.Exit(125, err)
}

// executable is lrun's own program, for the built-in images.
func executable() (*os.File, error) { return os.Open("/proc/self/exe") }
