package container

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/container/changes"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/layer"
	"github.com/lrun-dev/lrun/runtime"
)

type exportOptions struct{ output string }

func exportCommand(e *env.Env) *cli.Command {
	var o exportOptions
	return &cli.Command{
		Usage:     "write all files of a container as a tar archive",
		ArgsUsage: "CONTAINER",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`", DefaultText: "standard output", Destination: &o.output},
		},
		Action: func(c *cli.Context) error { return runExport(c.Context, e, o, c.Args().First()) },
	}
}

func runExport(ctx context.Context, e *env.Env, o exportOptions, name string) error {
	if err := sweep(ctx, e); err != nil {
		return err
	}
	c, err := containers(e).Resolve(name)
	if err != nil {
		return err
	}
	if _, terminal := env.Terminal(e.Out); terminal && o.output == "" {
		return fmt.Errorf("export %s: a terminal cannot show an archive; use -o FILE or a pipe: %w", name, errdefs.ErrInvalidArgument)
	}
	write := func(w io.Writer) error {
		return changes.Whole(ctx, e, c, func() error { return writeRoot(ctx, e, c, w) })
	}
	if o.output == "" {
		return write(e.Out)
	}
	return e.WriteFile(o.output, write)
}

// writeRoot writes all files of the container to w.
func writeRoot(ctx context.Context, e *env.Env, c runtime.Container, w io.Writer) (err error) {
	root, err := readRoot(ctx, e, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	return layer.WriteTar(ctx, w, root, layer.TarOptions{})
}
