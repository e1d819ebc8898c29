package system

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/rootfs/dropped"
)

func dropBlobsCommand(e *env.Env) *cli.Command {
	var dryRun bool
	return &cli.Command{
		Usage:     "remove the compressed layers of images that are unpacked",
		ArgsUsage: "[IMAGE...]",
		Description: `An image keeps the layers as they came, so that it is saved with the same digests, and unpacked beside them. This removes
the former, of all images or those named. What takes their place is small: the headers of each layer's tar, out of which, with the
unpacked files, the tar is put together again, byte for byte. That is tried before a layer goes; one that cannot be made again is kept
and named. Image ids stay; the images are saved with uncompressed layers, and so with other manifest digests. Loading an image again
brings its layers back. With blobs = "drop" in the configuration file, images are so as soon as they are loaded.

Examples:
  lrun system drop-blobs --dry-run
  lrun system drop-blobs debian:12`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "do the work, show what would go, and change nothing", Destination: &dryRun},
		},
		Action: func(c *cli.Context) error { return runDropBlobs(c.Context, e, dryRun, c.Args().Slice()) },
	}
}

func runDropBlobs(ctx context.Context, e *env.Env, dryRun bool, names []string) error {
	store, err := e.Rootfs()
	if err != nil {
		return err
	}
	var only []image.Record
	if len(names) > 0 {
		if only, err = named(ctx, store.Images, names); err != nil {
			return err
		}
	}
	var sum int64
	var writeErr error
	line := func(text string, args ...any) {
		if writeErr == nil {
			_, writeErr = fmt.Fprintln(e.Out, format.Visible(fmt.Sprintf(text, args...)))
		}
	}
	err = store.DropBlobs(ctx, dropped.Options{Only: only, DryRun: dryRun, Report: func(o dropped.Outcome) {
		images := strings.Join(o.Images, ", ")
		if o.Kept != nil {
			line("kept: %s (%s): %v", o.Blob, images, o.Kept)
			return
		}
		sum += o.Bytes
		line("deleted: %s (%s): %d bytes", o.Blob, images, o.Bytes)
	}})
	if err != nil {
		return err
	}
	line("Total reclaimed space: %s (%d bytes)", format.Size(sum), sum)
	return writeErr
}
