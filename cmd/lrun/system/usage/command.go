// Package usage holds the command that says what lrun takes on disk: in Docker's table, from what was written down when layers
// were made, or of every byte, from a walk of the root.
package usage

import (
	"context"
	"errors"
	"runtime/debug"

	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
)

type options struct {
	verbose bool
	format  string
}

// Command makes `lrun system df`.
func Command(e *env.Env) *cli.Command {
	var o options
	return &cli.Command{
		Usage: "show what images, containers and volumes take on disk",
		Description: `Sizes are bytes on disk, blobs and records included. Those of layers were written down when they were unpacked; all else is counted
now. RECLAIMABLE is what 'container prune', 'image prune --all' and 'volume prune --all' would free, each alone and each its own
part of what killed processes have left.

With --verbose every file is counted, and the last table has every byte of the root in exactly one row: its total is what
'du -s --block-size=1' says of the root.

Fields of a template: .Type .TotalCount .Active .Size .Reclaimable
With --verbose: .Images .Containers .Volumes .BuildCache .Bytes .Total`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Usage: "show 'table', 'table TEMPLATE', 'json' or what a Go `TEMPLATE` makes of each", Destination: &o.format},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show each image, container and volume, and where every byte is", Destination: &o.verbose},
		},
		Action: func(c *cli.Context) error { return run(c.Context, e, o) },
	}
}

func run(ctx context.Context, e *env.Env, o options) error {
	if err := e.Privileged(); err != nil {
		return err
	}
	f, err := format.Parse(o.format)
	if err != nil {
		return err
	}
	debug.SetGCPercent(400) // a short life with many small records in it: a tenth of the time of a thousand layers
	v, broken := take(ctx, e)
	if v == nil {
		return broken
	}
	if !o.verbose {
		rows, err := v.summary(ctx)
		return errors.Join(format.Write(e.Out, f, summaryColumns(), rows), err, broken)
	}
	all, err := v.everything(ctx)
	if err != nil {
		return errors.Join(err, broken)
	}
	if f.IsTable() {
		return errors.Join(all.write(e.Out, e.Root()), broken)
	}
	return errors.Join(format.Value(e.Out, o.format, all), broken)
}
