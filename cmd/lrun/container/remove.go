package container

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/each"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/runtime/launch/program"
)

type removeOptions struct{ force, volumes bool }

func removeCommand(e *env.Env) *cli.Command {
	var o removeOptions
	return &cli.Command{
		Usage:     "remove containers, with all that they wrote",
		ArgsUsage: "CONTAINER...",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "kill a running container first, and do not mind one that is not there", Destination: &o.force},
			&cli.BoolFlag{Name: "volumes", Aliases: []string{"v"}, Usage: "remove its anonymous volumes too, unless another container uses them", Destination: &o.volumes},
		},
		Action: func(c *cli.Context) error { return runRemove(c.Context, e, o, c.Args().Slice()) },
	}
}

func runRemove(ctx context.Context, e *env.Env, o removeOptions, names []string) error {
	if err := sweep(ctx, e); err != nil {
		return err
	}
	err := forEach(e, names, func(name string, c runtime.Container) error {
		return removeOne(ctx, e, o, name, c)
	})
	if o.force {
		err = each.Without(err, errdefs.ErrNotFound)
	}
	return err
}

func removeOne(ctx context.Context, e *env.Env, o removeOptions, name string, c runtime.Container) error {
	store := containers(e)
	st, err := store.State(c.ID)
	if err := errors.Join(err, e.Whole(c.Driver)); err != nil {
		return err
	}
	if st.Status == runtime.Running && !o.force {
		return fmt.Errorf("container %s is running; kill it first (lrun kill %[1]s) or use 'lrun rm -f': %w", name, errdefs.ErrFailedPrecondition)
	}
	take := store.Claim
	if o.force {
		take = func(ctx context.Context, _ string) (*runtime.Claim, error) { return takeOver(ctx, e, c) }
	}
	claim, err := take(ctx, c.ID)
	if err != nil {
		return err
	}
	err = tieVolumes(ctx, e, c, o.volumes || c.Remove)
	if err == nil {
		err = store.Delete(ctx, c.ID, releaser(e))
	}
	return claim.Done(err)
}

// takeOver is Claim that ends what runs in the container, or is being started there, so that whoever does that lets go.
func takeOver(ctx context.Context, e *env.Env, c runtime.Container) (*runtime.Claim, error) {
	store := containers(e)
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		if err := store.Kill(c.ID); err != nil && !errors.Is(err, unix.ESRCH) {
			return nil, err
		}
		claim, err := store.TryClaim(c.ID)
		if !errors.Is(err, flock.ErrBusy) {
			return claim, err
		}
		if st, err := store.State(c.ID); err == nil && st.Status != runtime.Running && c.Runtime != "" {
			if err := program.EndLeft(c.ID, filepath.Join(e.State(), "external")); err != nil {
				return nil, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// tieVolumes decides, before anything of the container goes, whether its anonymous volumes go with it. A kill in
// between leaves the container, and the decision to the next rm.
func tieVolumes(ctx context.Context, e *env.Env, c runtime.Container, along bool) error {
	if !along {
		return e.Volumes().Untie(ctx, c.ID)
	}
	var errs []error
	for _, m := range c.Settings.Mounts {
		if m.Anonymous {
			errs = append(errs, e.Volumes().Tie(m.Name, c.ID))
		}
	}
	return errors.Join(errs...)
}
