package system

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/command"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/rootfs/check"
	"github.com/lrun-dev/lrun/snapshot/layout"
)

type fsckOptions struct {
	deep   bool
	repair bool
	format string
}

func fsckCommand(e *env.Env) *cli.Command {
	var o fsckOptions
	return &cli.Command{
		Usage:     "check that images, layers, containers and volumes are as they were stored",
		ArgsUsage: "[IMAGE...]",
		Description: `Without an IMAGE everything in the root is checked: the records, the blobs of images, the files of unpacked layers,
containers, volumes and leftovers. Without --repair it changes nothing and stops nobody. Without --deep the size of each blob is compared, and of
each file its type, mode, owner, size, xattrs, target and time; with --deep all bytes too.

With --repair damaged layers are unpacked again from the blobs of their images, unless a container runs on them, and volumes with
files and without a sound record get a new record; then all is checked once more. What cannot be repaired is named with what to do.

The exit code is 0 when nothing is damaged, 1 when something is, and 125 when something could not be checked.

Examples:
  lrun fsck
  lrun fsck --deep debian:12`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "deep", Usage: "read all bytes of blobs and files and compare their digests", Destination: &o.deep},
			&cli.BoolFlag{Name: "repair", Usage: "unpack damaged layers again, and write new records of volumes", Destination: &o.repair},
			&cli.StringFlag{Name: "format", Usage: "'json': an object for each finding, and one with the numbers", DefaultText: "text", Destination: &o.format},
		},
		Action: func(c *cli.Context) error { return runFsck(c.Context, e, o, c.Args().Slice()) },
	}
}

func runFsck(ctx context.Context, e *env.Env, o fsckOptions, images []string) error {
	if o.format != "" && o.format != "json" {
		return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("--format %q is not supported: use json, or leave it out", o.format))
	}
	root, err := checkedRoot(e)
	if err != nil {
		return err
	}
	only, err := named(ctx, root.Images, images)
	if err != nil {
		return err
	}
	if o.repair && o.format != "" {
		return errdefs.ErrInvalidArgument.WithMessage("--repair and --format exclude each other: repair, then ask again")
	}
	w := &findings{out: e.Out, json: o.format == "json"}
	options := check.Options{Deep: o.deep, Only: only, Report: w.finding}
	sum, err := check.Check(ctx, root, options)
	if err = errors.Join(w.err, err); err != nil {
		return err
	}
	if o.repair && sum.Damaged > 0 {
		if err := errors.Join(repair(ctx, e, e.Out, w.all), repairVolumes(e, w.all)); err != nil {
			return err
		}
		sum, err = check.Check(ctx, root, options)
		if err = errors.Join(w.err, err); err != nil {
			return err
		}
	}
	if err := w.summary(sum); err != nil {
		return err
	}
	if sum.Damaged > 0 {
		return command.Exit(1, nil)
	}
	return nil
}

// checkedRoot puts together what is checked.
func checkedRoot(e *env.Env) (check.Root, error) {
	root := check.Root{Dir: e.Root()}
	var err error
	if root.Images, err = e.Images(); err != nil {
		return root, err
	}
	if root.Blobs, err = e.Blobs(); err != nil {
		return root, err
	}
	root.Containers, root.Volumes = recorded{e}, e.Volumes()
	return root, e.EachOrLost(func(name string, store *rootfs.Store, lost *layout.Lost) error {
		d := check.Driver{Name: name, Lost: lost}
		if lost == nil {
			d.Snapshots = store.Snapshots
		}
		root.Drivers = append(root.Drivers, d)
		return nil
	})
}

// named finds the images that names mean.
func named(ctx context.Context, images *image.Store, names []string) ([]image.Record, error) {
	var records []image.Record
	for _, name := range names {
		r, err := images.Resolve(ctx, name)
		if errdefs.IsNotFound(err) {
			err = errdefs.ErrNotFound.WithMessage("No such image: " + name)
		}
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

// findings writes what was found.
type findings struct {
	out  io.Writer
	json bool
	all  []check.Finding
	err  error
}

// object writes v as one line of JSON.
func (w *findings) object(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w.out, "%s\n", b)
	return err
}

func (w *findings) finding(f check.Finding) {
	if w.err != nil {
		return
	}
	w.all = append(w.all, f)
	if w.json {
		w.err = w.object(f)
		return
	}
	_, w.err = fmt.Fprintln(w.out, format.Visible(line(f)))
}

// line is a finding for people.
func line(f check.Finding) string {
	var b strings.Builder
	id := f.ID
	if strings.HasPrefix(id, "sha256:") || f.Kind == "container" {
		id = format.ShortID(id)
	}
	fmt.Fprintf(&b, "%s: %s %s", f.Severity, f.Kind, id)
	var of []string
	if f.Driver != "" && f.Kind != "container" {
		of = append(of, f.Driver)
	}
	if of = append(of, f.Images...); len(of) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(of, ", "))
	}
	if f.Path != "" {
		fmt.Fprintf(&b, " %s", f.Path)
	}
	fmt.Fprintf(&b, ": %s", f.Problem)
	if f.Remedy != "" && f.Severity == check.Damage {
		fmt.Fprintf(&b, " (%s)", f.Remedy)
	}
	return b.String()
}

// summary ends the report.
func (w *findings) summary(s check.Summary) error {
	if w.json {
		return w.object(s)
	}
	_, err := fmt.Fprintf(w.out, "checked %s, %s, %s with %s, %s, %s: %d damaged, %d left over, %d not checked\n",
		counted(s.Images, "image"), counted(s.Blobs, "blob"), counted(s.Layers, "layer"), counted(s.Files, "file"), counted(s.Containers, "container"), counted(s.Volumes, "volume"),
		s.Damaged, s.Leftovers, s.Unchecked)
	return err
}

func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
