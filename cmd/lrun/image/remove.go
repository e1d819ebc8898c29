package image

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/command"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/rootfs"
)

type removeOptions struct{ force bool }

func removeCommand(e *env.Env) *cli.Command {
	var o removeOptions
	return &cli.Command{
		Usage:     "remove images",
		ArgsUsage: "IMAGE [IMAGE...]",
		Description: `A name is taken away from its image, and the image goes with its last name. An ID removes the image, unless it
has several names. An image that a container uses stays. All images are tried, whatever happens to one of them.

Examples:
  lrun rmi busybox:1.36
  lrun rmi -f 3fba0c87fcc8`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "also if it has several names or a stopped container uses it; that it is not there is no error", Destination: &o.force},
		},
		Action: func(c *cli.Context) error { return runRemove(c.Context, e, o, c.Args().Slice()) },
	}
}

func runRemove(ctx context.Context, e *env.Env, o removeOptions, args []string) error {
	store, err := e.Rootfs()
	if err != nil {
		return err
	}
	inUse, err := imageUse(ctx, e)
	if err != nil {
		return err
	}
	var failed, missing []error
	for _, name := range args {
		if ctx.Err() != nil {
			break
		}
		removed, err := store.Remove(ctx, name, o.force, inUse)
		var writing error
		if lines := removed.Lines(); len(lines) > 0 {
			for i := range lines {
				lines[i] = format.Visible(lines[i])
			}
			writing = format.Lines(e.Out, lines)
		}
		if errdefs.IsNotFound(err) && len(removed.Lines()) == 0 {
			missing = append(missing, absent(err, name))
			err = nil
		}
		failed = append(failed, err, writing)
	}
	sweep(ctx, e)
	if o.force && errors.Join(failed...) == nil {
		command.Report(e.Err, "lrun", errors.Join(missing...))
		return ctx.Err()
	}
	return errors.Join(errors.Join(failed...), errors.Join(missing...), ctx.Err())
}

// imageUse returns what tells which container uses an image.
func imageUse(ctx context.Context, e *env.Env) (rootfs.InUse, error) {
	if e.Containers == nil {
		return func(digest.Digest) (string, bool) { return "", false }, nil
	}
	use, err := e.Containers.ImageUse(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the containers of images: %w", err)
	}
	return use, nil
}
