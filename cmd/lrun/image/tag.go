package image

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
)

func tagCommand(e *env.Env) *cli.Command {
	return &cli.Command{
		Usage:     "give an image another name",
		ArgsUsage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
		Description: `An image that had the name is left without it.

Examples:
  lrun tag busybox:latest mine/busybox:1`,
		Action: func(c *cli.Context) error { return runTag(c.Context, e, c.Args().Slice()) },
	}
}

func runTag(ctx context.Context, e *env.Env, args []string) error {
	store, err := e.Rootfs()
	if err != nil {
		return err
	}
	return absent(store.Tag(ctx, args[0], args[1]), args[0])
}
