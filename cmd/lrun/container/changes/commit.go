package changes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/change"
	"github.com/lrun-dev/lrun/image/child"
	"github.com/lrun-dev/lrun/layer"
	"github.com/lrun-dev/lrun/runtime"
)

type commitOptions struct {
	author, message string
	changes         cli.StringSlice
	pause           bool
}

// CommitCommand is commit.
func CommitCommand(e *env.Env, sweep Sweep) *cli.Command {
	var o commitOptions
	return &cli.Command{
		Usage:     "make an image of what a container changed",
		ArgsUsage: "CONTAINER [REPOSITORY[:TAG]]",
		Description: `The image has the layers of the container's own and one more with what 'lrun diff' lists, and starts what the
container started. What is in volumes does not belong to it. The image's ID is printed.

Examples:
  lrun commit -m 'with vim' -c 'CMD ["vim"]' work editor:1`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "author", Aliases: []string{"a"}, Usage: "say who made it: `NAME`", Destination: &o.author},
			&cli.StringSliceFlag{Name: "change", Aliases: []string{"c"}, Usage: "apply the Dockerfile `INSTRUCTION` to the image's config", Destination: &o.changes},
			&cli.StringFlag{Name: "message", Aliases: []string{"m"}, Usage: "keep `TEXT` as the comment in the history", Destination: &o.message},
			&cli.BoolFlag{Name: "pause", Aliases: []string{"p"}, Usage: "keep a running container still while it is read", Value: true, Destination: &o.pause},
		},
		Action: func(c *cli.Context) error {
			if err := sweep(c.Context, e); err != nil {
				return err
			}
			return runCommit(c.Context, e, o, c.Args().Slice())
		},
	}
}

func runCommit(ctx context.Context, e *env.Env, o commitOptions, args []string) (err error) {
	var refs []image.Reference
	if len(args) > 1 {
		ref, err := image.ParseReference(args[1])
		if err != nil {
			return err
		}
		if ref.Digest() != "" {
			return errdefs.ErrInvalidArgument.WithMessage("a new image gets a name without a digest, not " + args[1])
		}
		refs = append(refs, ref.WithDefaultTag())
	}
	c, err := e.Runtime().Resolve(args[0])
	if err != nil {
		return err
	}
	parent, err := parentOf(ctx, e, c)
	if err != nil {
		return fmt.Errorf("commit container %s: %w", args[0], err)
	}
	config := configOf(c, parent.Config.Config)
	createdBy := strings.Join(config.Cmd, " ")
	if err := change.Apply(&config, o.changes.Value()); err != nil {
		return err
	}
	made := child.Options{Config: config, Author: o.author, Comment: o.message, CreatedBy: createdBy, Created: e.Now()}
	id, err := commit(ctx, e, o, c, parent, made, refs)
	if err != nil {
		return fmt.Errorf("commit container %s: %w", args[0], err)
	}
	_, err = fmt.Fprintln(e.Out, id)
	return err
}

// commit makes the image and its record.
func commit(ctx context.Context, e *env.Env, o commitOptions, c runtime.Container, parent image.Image, made child.Options, refs []image.Reference) (id string, err error) {
	if _, err := e.Config(); err != nil {
		return "", err
	}
	roots, err := e.RootfsOf(c.Driver)
	if err != nil {
		return "", err
	}
	in, err := roots.Blobs.Begin()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	candidate, err := child.Make(ctx, in, parent, func(w io.Writer) error { return writeLayer(ctx, e, c, o.pause, w) }, made)
	if err != nil {
		return "", err
	}
	candidate.Refs = refs
	records, err := roots.AddMade(ctx, in, candidate)
	if err != nil {
		return "", err
	}
	e.Added(ctx, roots, records)
	return records[0].Image.String(), nil
}

// writeLayer writes the new layer.
func writeLayer(ctx context.Context, e *env.Env, c runtime.Container, pause bool, w io.Writer) error {
	return Whole(ctx, e, c, func() error { return writeChanges(ctx, e, c, pause, w) })
}

// writeChanges writes what the container changed while the container is kept still.
func writeChanges(ctx context.Context, e *env.Env, c runtime.Container, pause bool, w io.Writer) (err error) {
	d, err := open(ctx, e, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if pause {
		thaw, err := e.Runtime().Freeze(c.ID)
		if err != nil {
			return fmt.Errorf("keep the container still (--pause=false reads it as it runs): %w", err)
		}
		defer func() { err = errors.Join(err, thaw()) }()
	}
	return layer.Diff(ctx, w, d.DiffSource, options(time.Time{}))
}

// parentOf is the image that the container was made of.
func parentOf(ctx context.Context, e *env.Env, c runtime.Container) (image.Image, error) {
	const instead = "use 'lrun export CONTAINER | lrun import - NAME'"
	if c.RootDir != "" {
		return image.Image{}, fmt.Errorf("it was made of a directory (--rootfs), not of an image: %s: %w", instead, errdefs.ErrNotImplemented)
	}
	images, err := e.Images()
	if err != nil {
		return image.Image{}, err
	}
	rec, err := images.Resolve(ctx, c.ImageID)
	if errdefs.IsNotFound(err) {
		return image.Image{}, fmt.Errorf("its image %s (%s) is not in the store: %s: %w", c.Image, c.ImageID, instead, errdefs.ErrFailedPrecondition)
	}
	if err != nil {
		return image.Image{}, err
	}
	return images.Load(ctx, rec)
}

// configOf is the config of an image that starts what the container started.
func configOf(c runtime.Container, parent ocispec.ImageConfig) ocispec.ImageConfig {
	s := c.Settings
	config := ocispec.ImageConfig{
		User: s.User, ExposedPorts: parent.ExposedPorts, Env: s.Env, Entrypoint: s.Args[:c.Entrypoint], Cmd: s.Args[c.Entrypoint:],
		Volumes: maps.Clone(parent.Volumes), WorkingDir: s.Cwd, Labels: maps.Clone(c.Labels), StopSignal: s.StopSignal,
	}
	for _, m := range s.Mounts {
		if m.Anonymous && !m.Shared {
			if config.Volumes == nil {
				config.Volumes = map[string]struct{}{}
			}
			config.Volumes[m.Target] = struct{}{}
		}
	}
	return config
}
