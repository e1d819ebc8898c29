package image

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/image"
)

type historyOptions struct {
	human, noTrunc, quiet bool
	format                string
}

func historyCommand(e *env.Env) *cli.Command {
	var o historyOptions
	return &cli.Command{
		Usage:     "show how an image was made",
		ArgsUsage: "IMAGE",
		Description: `The newest step comes first. Sizes are of the unpacked layers. IMAGE is the image that ends with a step, where the
store has one.

Fields of a template: .ID .CreatedSince .CreatedAt .CreatedBy .Size .Comment

Examples:
  lrun history --no-trunc --format '{{.Size}}\t{{.CreatedBy}}' busybox`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Usage: formatUsage, Destination: &o.format},
			&cli.BoolFlag{Name: "human", Aliases: []string{"H"}, Usage: "show sizes and times in words", Value: true, Destination: &o.human},
			&cli.BoolFlag{Name: "no-trunc", Usage: "show whole IDs and commands", Destination: &o.noTrunc},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show only IDs", Destination: &o.quiet},
		},
		Action: func(c *cli.Context) error { return runHistory(c.Context, e, o, c.Args().First()) },
	}
}

// historyRow is one line of `lrun history`.
type historyRow struct {
	Comment      string
	CreatedAt    string
	CreatedBy    string
	CreatedSince string
	ID           string
	Size         string
}

func historyColumns() []format.Column {
	return []format.Column{
		{Header: "IMAGE", Field: "ID"},
		{Header: "CREATED", Field: "CreatedSince"},
		{Header: "CREATED AT", Field: "CreatedAt", Extra: true},
		{Header: "CREATED BY", Field: "CreatedBy"},
		{Header: "SIZE", Field: "Size"},
		{Header: "COMMENT", Field: "Comment"},
	}
}

func runHistory(ctx context.Context, e *env.Env, o historyOptions, name string) error {
	f, err := format.Parse(o.format)
	if err != nil {
		return err
	}
	_, im, err := load(ctx, e, name)
	if err != nil {
		return err
	}
	sizes, err := layerSizes(ctx, e, im)
	if err != nil {
		return err
	}
	known, err := ancestors(ctx, e, im)
	if err != nil {
		return err
	}
	steps := historySteps(im, sizes, known)
	rows := make([]historyRow, len(steps))
	for i, s := range steps {
		rows[i] = o.row(e, s)
	}
	if o.quiet && !f.IsTable() {
		e.Notice("--quiet is ignored, because --format says what to show")
	} else if o.quiet {
		ids := make([]string, len(rows))
		for i, r := range rows {
			ids[i] = r.ID
		}
		return format.Lines(e.Out, ids)
	}
	return format.Write(e.Out, f, historyColumns(), rows)
}

// step is one entry of an image's history.
type step struct {
	id             digest.Digest // "" where no stored image ends with it
	created        time.Time
	command, notes string
	size           int64 // -1: not known
}

// historySteps are the steps that made im, the newest first. The history of an image is only a remark: it may be
// shorter or longer than the list of layers, which have sizes. known are the images that end with the first so many steps.
func historySteps(im image.Image, sizes []int64, known map[int]digest.Digest) []step {
	var steps []step
	for i, h := range im.Config.History {
		s := step{id: known[i+1], command: h.CreatedBy, notes: h.Comment}
		if h.Created != nil {
			s.created = *h.Created
		}
		if !h.EmptyLayer && len(sizes) > 0 {
			s.size, sizes = sizes[0], sizes[1:]
		}
		steps = append(steps, s)
	}
	for _, size := range sizes {
		steps = append(steps, step{size: size})
	}
	for i := range len(steps) / 2 {
		j := len(steps) - 1 - i
		steps[i], steps[j] = steps[j], steps[i]
	}
	if len(steps) > 0 {
		steps[0].id = im.ID
	}
	return steps
}

// ancestors are the stored images that im was made of, as far as that can be told: their history and their layers are
// the beginning of its own. The key is how long their history is.
func ancestors(ctx context.Context, e *env.Env, im image.Image) (map[int]digest.Digest, error) {
	images, err := e.Images()
	if err != nil {
		return nil, err
	}
	records, err := images.List(ctx)
	known := map[int]digest.Digest{}
	for _, r := range records {
		if r.Image == im.ID {
			continue
		}
		other, err := images.Load(ctx, r)
		if err != nil {
			continue // a damaged image is another command's matter
		}
		if n := len(other.Config.History); n > 0 && begins(im.Config, other.Config) {
			known[n] = other.ID
		}
	}
	return known, err
}

// begins tells whether the history and the layers of start are the beginning of those of whole.
func begins(whole, start ocispec.Image) bool {
	steps, layers := start.History, start.RootFS.DiffIDs
	if len(steps) >= len(whole.History) || len(layers) > len(whole.RootFS.DiffIDs) {
		return false
	}
	return slices.Equal(layers, whole.RootFS.DiffIDs[:len(layers)]) && slices.EqualFunc(steps, whole.History[:len(steps)], sameStep)
}

func sameStep(a, b ocispec.History) bool {
	if (a.Created == nil) != (b.Created == nil) || a.Created != nil && !a.Created.Equal(*b.Created) {
		return false
	}
	return a.CreatedBy == b.CreatedBy && a.Author == b.Author && a.Comment == b.Comment && a.EmptyLayer == b.EmptyLayer
}

// layerSizes are the bytes of each layer unpacked, -1 where this driver has not unpacked it.
func layerSizes(ctx context.Context, e *env.Env, im image.Image) ([]int64, error) {
	snapshots, err := e.Snapshots()
	if err != nil {
		return nil, err
	}
	var sizes []int64
	for _, chain := range im.ChainIDs() {
		info, err := snapshots.Stat(ctx, chain.String())
		switch {
		case errdefs.IsNotFound(err):
			info.Size = -1
		case err != nil:
			return nil, err
		}
		sizes = append(sizes, info.Size)
	}
	return sizes, nil
}

// row says of a step what the options ask for.
func (o historyOptions) row(e *env.Env, s step) historyRow {
	r := historyRow{
		Comment: s.notes, CreatedBy: strings.ReplaceAll(s.command, "\t", " "), CreatedAt: "N/A", ID: "<missing>", Size: "N/A",
		CreatedSince: format.Ago(e.Now(), s.created),
	}
	if !s.created.IsZero() {
		r.CreatedAt = s.created.Format(time.RFC3339)
	}
	switch {
	case s.id != "" && o.noTrunc:
		r.ID = s.id.String()
	case s.id != "":
		r.ID = format.ShortID(s.id.String())
	}
	if !o.noTrunc {
		r.CreatedBy = format.Ellipsis(r.CreatedBy, 45)
	}
	if !o.human {
		r.CreatedSince = r.CreatedAt
	}
	switch {
	case s.size >= 0 && o.human:
		r.Size = format.Size(s.size)
	case s.size >= 0:
		r.Size = strconv.FormatInt(s.size, 10)
	}
	return r
}
