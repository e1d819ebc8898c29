package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/layer"
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

func runExport(ctx context.Context, e *env.Env, o exportOptions, name string) (err error) {
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
	root, err := readRoot(ctx, e, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if o.output == "" {
		return layer.WriteTar(ctx, e.Out, root, layer.TarOptions{})
	}
	return writeFile(o.output, func(w io.Writer) error { return layer.WriteTar(ctx, w, root, layer.TarOptions{}) })
}

// writeFile leaves no half-written file behind.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(write(f), f.Close())
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
