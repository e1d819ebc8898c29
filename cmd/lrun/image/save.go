package image

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/archive/save"
)

type saveOptions struct{ output, format, platform string }

func saveCommand(e *env.Env) *cli.Command {
	var o saveOptions
	return &cli.Command{
		Usage:     "write images into an archive",
		ArgsUsage: "IMAGE [IMAGE...]",
		Description: `The archive holds manifests, configs and layers byte for byte, so that loading it gives the same ids and digests. It is an OCI
layout, and for older readers a docker-archive at the same time; --format oci leaves that out. A repository without a
tag means all its tags. The same images make the same bytes.

A layer whose compressed blob was dropped (lrun system drop-blobs) is saved uncompressed: the image id stays, and the
manifest digest becomes another, which is said on standard error.

Examples:
  lrun save -o busybox.tar busybox
  lrun save --format oci debian:12 | skopeo inspect oci-archive:/dev/stdin`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`", DefaultText: "standard output", Destination: &o.output},
			&cli.StringFlag{Name: "format", Usage: "`FORMAT` docker-archive, or oci (oci-archive is the same)", Value: "docker-archive", Destination: &o.format},
			&cli.StringFlag{Name: "platform", Usage: "refuse images that are not for `OS/ARCH[/VARIANT]`", DefaultText: "any", Destination: &o.platform},
		},
		Action: func(c *cli.Context) error { return runSave(c.Context, e, o, c.Args().Slice()) },
	}
}

func runSave(ctx context.Context, e *env.Env, o saveOptions, names []string) error {
	format, err := saveFormat(o.format)
	if err != nil {
		return err
	}
	if _, terminal := env.Terminal(e.Out); terminal && o.output == "" {
		return errdefs.ErrInvalidArgument.WithMessage("a terminal cannot show an archive; use -o FILE or a pipe")
	}
	find := func() ([]save.Entry, error) { return toSave(ctx, e, o.platform, names) }
	entries, err := find()
	if err != nil {
		return err
	}
	store, err := e.Rootfs()
	if err != nil {
		return err
	}
	changed := 0
	options := save.Options{Format: format, Changed: func(image.Image, digest.Digest) { changed++ }}
	write := func(w io.Writer) error {
		return save.WriteFound(ctx, w, store.Dropped(), entries, find, options)
	}
	if o.output == "" {
		err = write(e.Out)
	} else {
		err = e.WriteFile(o.output, write)
	}
	if errdefs.IsNotFound(err) { // which says all
		return err
	}
	if err != nil {
		return fmt.Errorf("save: %w", err)
	}
	if changed > 0 {
		e.Notice("%d of the images saved have another manifest digest than before, and uncompressed layers: their compressed blobs "+
			"were dropped; image ids are the same", changed)
	}
	return nil
}

func saveFormat(name string) (save.Format, error) {
	switch name {
	case "docker-archive", "docker":
		return save.Docker, nil
	case "oci", "oci-archive":
		return save.OCI, nil
	case "oci-dir", "docker-dir":
		return 0, fmt.Errorf("--format %s: directories are not written; use 'lrun save --format oci IMAGE | tar -x -C DIR': %w", name, errdefs.ErrNotImplemented)
	}
	return 0, fmt.Errorf("--format %q: give docker-archive or oci: %w", name, errdefs.ErrInvalidArgument)
}

// toSave finds the images that names mean, each once, with all the names under which they were asked for.
func toSave(ctx context.Context, e *env.Env, want string, names []string) ([]save.Entry, error) {
	images, err := e.Images()
	if err != nil {
		return nil, err
	}
	var entries []save.Entry
	at := map[digest.Digest]int{} // by manifest
	for _, name := range names {
		records, err := images.Named(ctx, name)
		if err != nil {
			return nil, absent(err, name)
		}
		for _, rec := range records {
			i, known := at[rec.Manifest.Digest]
			if !known {
				im, err := images.Load(ctx, rec)
				if err != nil {
					return nil, absent(err, name)
				}
				if err := isFor(im, want); err != nil {
					return nil, err
				}
				i = len(entries)
				at[rec.Manifest.Digest], entries = i, append(entries, save.Entry{Image: im})
			}
			if ref := rec.Ref; !ref.IsZero() && ref.Tag() != "" && !slices.Contains(entries[i].Refs, ref) {
				entries[i].Refs = append(entries[i].Refs, ref)
			}
		}
	}
	return entries, nil
}

// isFor refuses an image that is not for the platform that was asked for.
func isFor(im image.Image, want string) error {
	if want == "" {
		return nil
	}
	p, err := image.ParsePlatform(want)
	if err != nil {
		return err
	}
	if of := im.Config.Platform; !image.IsFor(p, of) {
		return fmt.Errorf("image %s is for %s, not for %s: %w", im.ID, image.FormatPlatform(of), want, errdefs.ErrNotFound)
	}
	return nil
}
