package container

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/each"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/signal"
	"github.com/lrun-dev/lrun/runtime"
)

type killOptions struct{ signal string }

func killCommand(e *env.Env) *cli.Command {
	var o killOptions
	return &cli.Command{
		Usage:     "send a signal to the first process of running containers",
		ArgsUsage: "CONTAINER...",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "signal", Aliases: []string{"s"}, Usage: "send `SIGNAL`, a name or a number", Value: "KILL", Destination: &o.signal},
		},
		Action: func(c *cli.Context) error { return runKill(c.Context, e, o, c.Args().Slice()) },
	}
}

func runKill(ctx context.Context, e *env.Env, o killOptions, names []string) error {
	number, err := signal.Parse(o.signal)
	if err != nil {
		return err
	}
	if err := sweep(ctx, e); err != nil {
		return err
	}
	return forEach(e, names, func(name string, c runtime.Container) error {
		if err := containers(e).Signal(c.ID, number); err != nil {
			return fmt.Errorf("kill container %s: %w", name, err)
		}
		return nil
	})
}

// forEach does work on each named container, on several at once, and prints the name of each that went well, in their order. One
// that fails does not stop the others.
func forEach(e *env.Env, names []string, work func(name string, c runtime.Container) error) error {
	find := func(name string) (runtime.Container, string, error) {
		c, err := containers(e).Resolve(name)
		return c, c.ID, err
	}
	return each.Named(names, find, work, func(name string) error {
		_, err := fmt.Fprintln(e.Out, name)
		return err
	})
}
