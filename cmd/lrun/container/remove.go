package container

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/container/takeover"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/each"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/runtime"
)

type removeOptions struct{ force, volumes bool }

func removeCommand(e *env.Env) *cli.Command {
	var o removeOptions
	return &cli.Command{
		Usage:     "remove containers, with all that they wrote",
		ArgsUsage: "CONTAINER...",
		Description: `With --force a container goes even when its record or its state is damaged: by its id, or the beginning of that, when the
name is not known any more.`,
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
	find := func(name string) (runtime.Container, string, error) {
		c, err := containers(e).Resolve(name)
		if o.force && c.ID != "" && errdefs.IsDataLoss(err) {
			err = nil
		}
		return c, c.ID, err
	}
	err := each.Named(names, find, func(name string, c runtime.Container) error {
		return removeOne(ctx, e, o, name, c)
	}, func(name string) error {
		_, err := fmt.Fprintln(e.Out, name)
		return err
	})
	if o.force {
		err = each.Without(err, errdefs.ErrNotFound)
	}
	return err
}

func removeOne(ctx context.Context, e *env.Env, o removeOptions, name string, c runtime.Container) error {
	store := containers(e)
	_, err := store.State(c.ID)
	if o.force && errdefs.IsDataLoss(err) || errdefs.IsNotFound(err) { // it is not known whether it runs; or somebody is removing it
		err = nil
	}
	if c.Driver != "" { // else its record is damaged
		err = errors.Join(err, e.Whole(c.Driver))
	}
	if err != nil {
		return err
	}
	var claim *runtime.Claim
	if o.force {
		claim, err = takeover.Claim(ctx, store, c)
	} else {
		claim, err = takeover.Idle(ctx, store, c.ID, func() error { return sweep(ctx, e) },
			fmt.Errorf("container %s is running; kill it first (lrun kill %[1]s) or use 'lrun rm -f': %w", name, errdefs.ErrFailedPrecondition))
	}
	if err != nil {
		return err
	}
	err = tieVolumes(ctx, e, c, o.volumes || c.Remove)
	if err == nil {
		err = store.Delete(ctx, c.ID, releaser(e))
	}
	return claim.Done(err)
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
