package image

import (
	"cmp"
	"context"
	"path"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/filter"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/image"
)

type listOptions struct {
	all, quiet, noTrunc, digests bool
	filters                      cli.StringSlice
	format                       string
}

func listCommand(e *env.Env) *cli.Command {
	var o listOptions
	return &cli.Command{
		Usage:     "list images",
		ArgsUsage: "[REPOSITORY[:TAG]]",
		Description: `The newest comes first; an image with several names has a line for each. Sizes are of the unpacked layers.

Filters: dangling=true|false, reference=PATTERN, label=KEY[=VALUE], before=IMAGE, since=IMAGE.

Fields of a template: .Repository .Tag .Digest .ID .CreatedSince .CreatedAt .Size

Examples:
  lrun images --filter reference='busy*' --filter label=tier=web
  lrun images --format 'table {{.Repository}}:{{.Tag}}\t{{.Size}}'
  lrun rmi $(lrun images -q --filter dangling=true)`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "intermediate images too (lrun keeps none)", Destination: &o.all},
			&cli.BoolFlag{Name: "digests", Usage: "show the digests under which images were published", Destination: &o.digests},
			&cli.StringSliceFlag{Name: "filter", Aliases: []string{"f"}, Usage: "show only images for which `KEY=VALUE` is true", Destination: &o.filters},
			&cli.StringFlag{Name: "format", Usage: formatUsage, Destination: &o.format},
			&cli.BoolFlag{Name: "no-trunc", Usage: "show whole IDs", Destination: &o.noTrunc},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show only IDs", Destination: &o.quiet},
		},
		Action: func(c *cli.Context) error { return runList(c.Context, e, o, c.Args().Slice()) },
	}
}

// listRow is one line of `lrun images`. What lrun does not count has Docker's word for that.
type listRow struct {
	Containers   string
	CreatedAt    string
	CreatedSince string
	Digest       string
	ID           string
	Repository   string
	SharedSize   string
	Size         string
	Tag          string
	UniqueSize   string
}

func listColumns(digests bool) []format.Column {
	return []format.Column{
		{Header: "REPOSITORY", Field: "Repository"},
		{Header: "TAG", Field: "Tag"},
		{Header: "DIGEST", Field: "Digest", Extra: !digests},
		{Header: "IMAGE ID", Field: "ID"},
		{Header: "CREATED", Field: "CreatedSince"},
		{Header: "CREATED AT", Field: "CreatedAt", Extra: true},
		{Header: "SIZE", Field: "Size"},
		{Header: "CONTAINERS", Field: "Containers", Extra: true},
		{Header: "SHARED SIZE", Field: "SharedSize", Extra: true},
		{Header: "UNIQUE SIZE", Field: "UniqueSize", Extra: true},
	}
}

func runList(ctx context.Context, e *env.Env, o listOptions, args []string) error {
	f, err := format.Parse(o.format)
	if err != nil {
		return err
	}
	filters := o.filters.Value()
	for _, a := range args {
		filters = append(filters, "reference="+a)
	}
	want, err := filter.Parse(filters, "before", "dangling", "label", "reference", "since")
	if err != nil {
		return err
	}
	records, err := selectImages(ctx, e, want)
	if err != nil {
		return err
	}
	rows := make([]listRow, len(records))
	for i, r := range records {
		rows[i] = newListRow(e, r, o.noTrunc)
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
	return format.Write(e.Out, f, listColumns(o.digests), rows)
}

// newListRow says of a record what the list shows.
func newListRow(e *env.Env, r image.Record, noTrunc bool) listRow {
	repository, tag := Names(r)
	row := listRow{
		Containers: "N/A", SharedSize: "N/A", UniqueSize: "N/A",
		CreatedAt: format.Time(r.Created), CreatedSince: format.Ago(e.Now(), r.Created),
		Digest: cmp.Or(r.RepoDigest.String(), format.None),
		ID:     r.Image.String(), Repository: repository, Tag: tag, Size: format.Size(r.Size),
	}
	if !noTrunc {
		row.ID = format.ShortID(row.ID)
	}
	return row
}

// Names are the repository and the tag of a record as lists show them. An image whose tag has moved away is still
// known under its repository when it has a digest there.
func Names(r image.Record) (repository, tag string) {
	switch {
	case !r.Ref.IsZero():
		return r.Ref.FamiliarName(), cmp.Or(r.Ref.Tag(), format.None)
	case r.Repository != "" && r.RepoDigest != "":
		if ref, err := image.ParseReference(r.Repository); err == nil {
			return ref.FamiliarName(), format.None
		}
	}
	return format.None, format.None
}

// selectImages returns the records that the filters let pass, the newest first.
func selectImages(ctx context.Context, e *env.Env, want filter.Set) ([]image.Record, error) {
	images, err := e.Images()
	if err != nil {
		return nil, err
	}
	records, err := images.List(ctx)
	if err != nil {
		return nil, err
	}
	passes, err := imageFilter(ctx, e, want)
	if err != nil {
		return nil, err
	}
	var selected []image.Record
	for _, r := range records {
		ok, err := passes(r)
		switch {
		case errdefs.IsNotFound(err): // removed meanwhile
		case err != nil:
			return nil, err
		case ok:
			selected = append(selected, r)
		}
	}
	slices.SortStableFunc(selected, func(a, b image.Record) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.Image, b.Image), cmp.Compare(a.Ref.Familiar(), b.Ref.Familiar()))
	})
	return selected, nil
}

// imageFilter makes of the filters a function that decides on one record; the costly ones come last.
func imageFilter(ctx context.Context, e *env.Env, want filter.Set) (func(image.Record) (bool, error), error) {
	dangling, danglingGiven, err := want.Bool("dangling")
	if err != nil {
		return nil, err
	}
	for _, pattern := range want.Values("reference") {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, errdefs.ErrInvalidArgument.WithMessage("parse filter reference=" + pattern + ": " + err.Error())
		}
	}
	inTime, err := timeFilter(ctx, e, want)
	if err != nil {
		return nil, err
	}
	images, err := e.Images()
	if err != nil {
		return nil, err
	}
	return func(r image.Record) (bool, error) {
		if danglingGiven && r.Ref.IsZero() != dangling {
			return false, nil
		}
		if !want.Any("reference", func(p string) bool { return matches(p, r) }) || !inTime(r) {
			return false, nil
		}
		if !want.Has("label") {
			return true, nil
		}
		im, err := images.Load(ctx, r)
		return err == nil && want.Labels("label", im.Config.Config.Labels), err
	}, nil
}

// timeFilter decides by the filters before and since, which name images.
func timeFilter(ctx context.Context, e *env.Env, want filter.Set) (func(image.Record) bool, error) {
	var tests []func(image.Record) bool
	for _, name := range want.Values("before") {
		limit, err := resolve(ctx, e, name)
		if err != nil {
			return nil, err
		}
		tests = append(tests, func(r image.Record) bool { return r.Created.Before(limit.Created) })
	}
	for _, name := range want.Values("since") {
		limit, err := resolve(ctx, e, name)
		if err != nil {
			return nil, err
		}
		tests = append(tests, func(r image.Record) bool { return r.Created.After(limit.Created) })
	}
	return func(r image.Record) bool {
		return !slices.ContainsFunc(tests, func(test func(image.Record) bool) bool { return !test(r) })
	}, nil
}

// matches tells whether a record's name, with or without its tag, fits a pattern of path.Match, in Docker's short
// form.
func matches(pattern string, r image.Record) bool {
	repository, _ := Names(r)
	for _, name := range []string{r.Ref.Familiar(), repository} {
		if ok, err := path.Match(pattern, name); err == nil && ok && name != format.None {
			return true
		}
	}
	return false
}
