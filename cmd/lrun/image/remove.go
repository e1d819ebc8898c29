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
	inUse := func() (rootfs.InUse, error) { return imageUse(ctx, e) }
	var errs []error
	onlyMissing := true
	for _, name := range args {
		if ctx.Err() != nil {
			break
		}
		removed, err := store.Remove(ctx, name, o.force, inUse)
		lines := removed.Lines()
		if errdefs.IsNotFound(err) && len(lines) == 0 {
			errs = append(errs, absent(err, name))
			continue
		}
		for i := range lines {
			lines[i] = format.Visible(lines[i])
		}
		err = errors.Join(err, format.Lines(e.Out, lines))
		onlyMissing = onlyMissing && err == nil
		errs = append(errs, err)
	}
	sweep(ctx, e)
	if o.force && onlyMissing && ctx.Err() == nil {
		command.Report(e.Err, "lrun", errors.Join(errs...))
		return nil
	}
	return errors.Join(append(errs, ctx.Err())...)
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
