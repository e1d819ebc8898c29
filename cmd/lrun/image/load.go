package image

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/hold"
	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/archive"
	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/rootfs/heal"
)

type loadOptions struct {
	input, platform string
	quiet           bool
}

func loadCommand(e *env.Env) *cli.Command {
	var o loadOptions
	return &cli.Command{
		Usage: "load images from an archive or an OCI layout",
		Description: `The archive may be a docker-archive (docker save), an OCI archive, or the directory of an OCI layout, compressed
or not. All its images are loaded and unpacked, or none: when there is no room
for all, what was unpacked is deleted, and complete blobs are kept for a day, so
that the next load need not write them again (lrun image prune deletes them).

Examples:
  lrun load -i busybox.tar
  skopeo copy docker://docker.io/library/busybox oci-archive:/dev/stdout:busybox:latest | lrun load`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "input", Aliases: []string{"i"}, Usage: "read the archive `FILE`, or the directory of an OCI layout", DefaultText: "standard input", Destination: &o.input},
			&cli.StringFlag{Name: "platform", Usage: "load this `OS/ARCH[/VARIANT]` of images that have several", DefaultText: "this machine's", Destination: &o.platform},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "do not report progress", Destination: &o.quiet},
		},
		Action: func(c *cli.Context) error { return runLoad(c.Context, e, o) },
	}
}

func runLoad(ctx context.Context, e *env.Env, o loadOptions) (err error) {
	if err := e.Privileged(); err != nil {
		return err
	}
	p, err := platform(o.platform)
	if err != nil {
		return err
	}
	src, err := openArchive(ctx, e, o.input)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	records, err := add(ctx, e, o.quiet, func(in *blob.Ingest) ([]image.Candidate, error) {
		return archive.Read(ctx, src, in, archive.Options{Platform: p})
	})
	if err != nil {
		return err
	}
	for _, r := range records {
		line := "Loaded image: " + r.Ref.Familiar()
		if r.Ref.IsZero() {
			line = "Loaded image ID: " + r.Image.String()
		}
		if _, err := fmt.Fprintln(e.Out, format.Visible(line)); err != nil {
			return err
		}
	}
	return nil
}

// openArchive opens the archive at path; standard input for "" and "-".
func openArchive(ctx context.Context, e *env.Env, path string) (*archive.Source, error) {
	if path != "" && path != "-" {
		return archive.OpenFile(path)
	}
	if err := refuseTerminal(e, "give the archive with -i FILE or redirect standard input"); err != nil {
		return nil, err
	}
	return archive.FromReader(e.Input(ctx), "standard input"), nil
}

// refuseTerminal returns an error when standard input is a terminal, where no archive comes from.
func refuseTerminal(e *env.Env, advice string) error {
	if _, terminal := env.Terminal(e.In); terminal {
		return errdefs.ErrInvalidArgument.WithMessage("standard input is a terminal: " + advice)
	}
	return nil
}

// add takes in the images that read finds, with its blobs, and reports progress unless quiet.
func add(ctx context.Context, e *env.Env, quiet bool, read func(*blob.Ingest) ([]image.Candidate, error)) (records []image.Record, err error) {
	if _, err := e.Config(); err != nil {
		return nil, err
	}
	store, err := e.Rootfs()
	if err != nil {
		return nil, err
	}
	in, err := store.Blobs.Begin()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	in.OnFull = func() { sweep(ctx, e) }
	records, err = addFrom(ctx, e, store, in, quiet, read)
	if full(err) {
		return nil, keep(in, err)
	}
	if err == nil {
		e.Added(ctx, store, records)
		sweep(ctx, e)
	}
	return records, err
}

// addFrom takes in the images that read finds, with its blobs in the ingest in.
func addFrom(ctx context.Context, e *env.Env, store *rootfs.Store, in *blob.Ingest, quiet bool, read func(*blob.Ingest) ([]image.Candidate, error)) ([]image.Record, error) {
	candidates, err := read(in)
	if err != nil {
		return nil, err
	}
	var report func(rootfs.Event)
	if !quiet {
		report = (&progress{env: e, shown: map[layerState]bool{}}).report
	}
	if err := healLayers(ctx, e, store, in, candidates, quiet); err != nil {
		return nil, err
	}
	records, err := store.Add(ctx, in, candidates, report)
	if full(err) && in.Room() {
		return store.Add(ctx, in, candidates, report)
	}
	return records, err
}

// full tells that err says that there was no room.
func full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// keep keeps the blobs of in, which are complete, after err, which says that there was no room for something else.
func keep(in *blob.Ingest, err error) error {
	kept, keepErr := in.Keep()
	if kept.Count > 0 {
		err = fmt.Errorf("%w; the complete blobs of the image (%d, %s) are kept for a day, so that the next try need not write them: lrun image prune deletes them", err, kept.Count, format.Size(kept.Size))
	}
	return errors.Join(err, keepErr)
}

// healLayers makes stored layers new that are damaged, and says so unless quiet.
func healLayers(ctx context.Context, e *env.Env, store *rootfs.Store, in *blob.Ingest, candidates []image.Candidate, quiet bool) (err error) {
	var held hold.Containers
	defer func() { err = errors.Join(err, held.Close()) }()
	return heal.New(e.Root(), store.Snapshots).Heal(ctx, in, candidates, func(key string) error {
		return held.On(ctx, e.Runtime(), store.Snapshots, key)
	}, func(im image.Image, layer int) {
		if !quiet {
			_, _ = fmt.Fprintf(e.Err, "%s: Repaired\n", format.ShortID(im.Layers[layer].Digest.String())) // only a report
		}
	})
}

// progress writes a line for each layer when it is there, as Docker does without a terminal.
type progress struct {
	env   *env.Env
	shown map[layerState]bool
}

// layerState is a layer of an image and how far it is.
type layerState struct {
	image digest.Digest
	layer int
	state rootfs.State
}

func (p *progress) report(ev rootfs.Event) {
	now := layerState{ev.Image, ev.Layer, ev.State}
	if ev.State == rootfs.Unpacking || p.shown[now] {
		return
	}
	p.shown[now] = true
	_, _ = fmt.Fprintf(p.env.Err, "%s: %s\n", format.ShortID(ev.Blob.String()), ev.State) // only a report
}
