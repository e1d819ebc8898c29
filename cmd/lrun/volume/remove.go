package volume

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/prune"
)

func removeCommand(e *env.Env) *cli.Command {
	var force bool
	return &cli.Command{
		Usage:     "remove volumes that no container uses, with all their files",
		ArgsUsage: "VOLUME...",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "do not mind one that is not there", Destination: &force},
		},
		Action: func(c *cli.Context) error { return runRemove(c.Context, e, force, c.Args().Slice()) },
	}
}

func runRemove(ctx context.Context, e *env.Env, force bool, names []string) error {
	if err := begin(e); err != nil {
		return err
	}
	errs := []error{e.Volumes().Sweep(ctx)}
	for _, name := range names {
		err := prune.RemoveVolume(ctx, e, name)
		if force && errors.Is(err, errdefs.ErrNotFound) {
			err = nil
		}
		if err == nil {
			_, err = fmt.Fprintln(e.Out, name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
