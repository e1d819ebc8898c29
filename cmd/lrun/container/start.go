package container

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/container/foreground"
	"github.com/lrun-dev/lrun/cmd/lrun/container/takeover"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
)

type startOptions struct{ attach, interactive bool }

func startCommand(e *env.Env) *cli.Command {
	var o startOptions
	return &cli.Command{
		Usage:     "run the program of a container that was created or has ended",
		ArgsUsage: "CONTAINER",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "attach", Aliases: []string{"a"}, Usage: "stay in the foreground and show its output; needed so far", Destination: &o.attach},
			&cli.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Usage: "pass standard input on, if the container was made with -i", Destination: &o.interactive},
		},
		Action: func(c *cli.Context) error { return runStart(c.Context, e, o, c.Args().First()) },
	}
}

func runStart(ctx context.Context, e *env.Env, o startOptions, name string) error {
	if !o.attach && !o.interactive {
		return fmt.Errorf("start %s: containers run in the foreground; give -a: %w", name, errdefs.ErrNotImplemented)
	}
	ctx, signals := foreground.Catch(ctx)
	defer signals.Stop()
	if err := sweep(ctx, e); err != nil {
		return err
	}
	store := containers(e)
	c, err := store.Resolve(name)
	if err != nil {
		return err
	}
	claim, err := takeover.Idle(ctx, store, c.ID, func() error { return sweep(ctx, e) }, running(name))
	if err != nil {
		return err
	}
	// Somebody may have started or removed it before we had the claim.
	if c, err = store.Get(c.ID); err != nil {
		return errors.Join(err, claim.Close())
	}
	c.Interactive = c.Interactive && o.interactive
	pending := store.Begin(c)
	return runToEnd(ctx, e, c, claim, pending, signals)
}

func running(name string) error {
	return fmt.Errorf("container %s is running already: %w", name, errdefs.ErrFailedPrecondition)
}
