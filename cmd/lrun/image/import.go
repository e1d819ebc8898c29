package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/archive"
	"github.com/lrun-dev/lrun/image/blob"
)

type importOptions struct {
	changes           cli.StringSlice
	message, platform string
}

func importCommand(e *env.Env) *cli.Command {
	var o importOptions
	return &cli.Command{
		Usage:     "make an image of a root filesystem's tar",
		ArgsUsage: "FILE|- [REPOSITORY[:TAG]]",
		Description: `The tar, compressed or not, becomes the only layer. The image's ID is printed.

Examples:
  lrun import -c 'CMD ["/bin/sh"]' -c 'ENV LANG=C.UTF-8' rootfs.tar.gz mine:1
  mmdebstrap bookworm | lrun import - debian:mine`,
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "change", Aliases: []string{"c"}, Usage: "apply the Dockerfile `INSTRUCTION` to the image's config", Destination: &o.changes},
			&cli.StringFlag{Name: "message", Aliases: []string{"m"}, Usage: "keep `TEXT` as the comment in the history", DefaultText: "imported from its file", Destination: &o.message},
			&cli.StringFlag{Name: "platform", Usage: "say that the image is for `OS/ARCH[/VARIANT]`", DefaultText: "this machine's", Destination: &o.platform},
		},
		Action: func(c *cli.Context) error { return runImport(c.Context, e, o, c.Args().Slice()) },
	}
}

func runImport(ctx context.Context, e *env.Env, o importOptions, args []string) (err error) {
	if err := e.Privileged(); err != nil {
		return err
	}
	p, err := platform(o.platform)
	if err != nil {
		return err
	}
	refs, err := newName(args[1:])
	if err != nil {
		return err
	}
	tar, err := openTar(ctx, e, args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tar.Close()) }()
	message := o.message
	if message == "" {
		message = "Imported from " + args[0]
	}
	records, err := add(ctx, e, true, func(in *blob.Ingest) ([]image.Candidate, error) {
		c, err := archive.Import(ctx, tar, in, archive.ImportOptions{
			Changes: o.changes.Value(), Message: message, Platform: p, Created: e.Now(),
		})
		c.Refs = refs
		return []image.Candidate{c}, err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.Out, records[0].Image)
	return err
}

// newName parses the name for a new image, of which there may be none.
func newName(args []string) ([]image.Reference, error) {
	if len(args) == 0 {
		return nil, nil
	}
	ref, err := image.ParseReference(args[0])
	if err != nil {
		return nil, err
	}
	if ref.Digest() != "" {
		return nil, errdefs.ErrInvalidArgument.WithMessage("a new image gets a name without a digest, not " + args[0])
	}
	return []image.Reference{ref.WithDefaultTag()}, nil
}

// openTar opens the tar at path, standard input for "-".
func openTar(ctx context.Context, e *env.Env, path string) (io.ReadCloser, error) {
	if path == "-" {
		if err := refuseTerminal(e, "redirect it from the tar, or name the tar"); err != nil {
			return nil, err
		}
		return io.NopCloser(e.Input(ctx)), nil
	}
	if strings.HasPrefix(path, "http://") || strings.HasPrefix(path, "https://") {
		return nil, errdefs.ErrNotImplemented.WithMessage(fmt.Sprintf("lrun fetches nothing from %s: use curl -fL %s | lrun import -", path, path))
	}
	return os.Open(path)
}
