package volume

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/filter"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/volume"
)

type listOptions struct {
	quiet   bool
	format  string
	filters cli.StringSlice
}

func listCommand(e *env.Env) *cli.Command {
	var o listOptions
	return &cli.Command{
		Usage: "list volumes",
		Description: `Filters: dangling=true|false (used by no container, or by one), driver=DRIVER, label=NAME[=VALUE], name=TEXT.

Fields of a template: .Name .Driver .Scope .Mountpoint .Labels .Label`,
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "filter", Aliases: []string{"f"}, Usage: "show only volumes for which `KEY=VALUE` is true", Destination: &o.filters},
			&cli.StringFlag{Name: "format", Usage: "show 'table', 'table TEMPLATE', 'json' or what a Go `TEMPLATE` makes of each", Destination: &o.format},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show only names", Destination: &o.quiet},
		},
		Action: func(c *cli.Context) error { return runList(c.Context, e, o) },
	}
}

// row is one line of the list. What lrun does not count has Docker's word for that.
type row struct {
	Availability string
	Driver       string
	Group        string
	Labels       string
	Links        string
	Mountpoint   string
	Name         string
	Scope        string
	Size         string
	Status       string

	labels map[string]string
}

// Label returns the value of one label.
func (r row) Label(name string) string { return r.labels[name] }

func columns() []format.Column {
	return []format.Column{
		{Header: "DRIVER", Field: "Driver"},
		{Header: "VOLUME NAME", Field: "Name"},
		{Header: "SCOPE", Field: "Scope", Extra: true},
		{Header: "MOUNTPOINT", Field: "Mountpoint", Extra: true},
		{Header: "LABELS", Field: "Labels", Extra: true},
		{Header: "LINKS", Field: "Links", Extra: true},
		{Header: "SIZE", Field: "Size", Extra: true},
		{Header: "AVAILABILITY", Field: "Availability", Extra: true},
		{Header: "GROUP", Field: "Group", Extra: true},
		{Header: "STATUS", Field: "Status", Extra: true},
	}
}

func runList(ctx context.Context, e *env.Env, o listOptions) error {
	if err := e.Readable(); err != nil {
		return err
	}
	f, err := format.Parse(o.format)
	if err != nil {
		return err
	}
	keep, err := selection(ctx, e, o.filters.Value())
	if err != nil {
		return err
	}
	list, broken := e.Volumes().List()
	rows := []row{}
	for _, v := range list {
		if keep(v) {
			rows = append(rows, newRow(e, v))
		}
	}
	if o.quiet {
		names := make([]string, len(rows))
		for i, r := range rows {
			names[i] = r.Name
		}
		return errors.Join(format.Lines(e.Out, names), broken)
	}
	return errors.Join(format.Write(e.Out, f, columns(), rows), broken)
}

func newRow(e *env.Env, v volume.Volume) row {
	var labels []string
	for name, value := range v.Labels {
		labels = append(labels, name+"="+value)
	}
	slices.Sort(labels)
	return row{
		Driver: "local", Name: v.Name, Scope: "local", Mountpoint: e.Volumes().Path(v), Labels: strings.Join(labels, ","),
		Links: "N/A", Size: "N/A", Availability: "N/A", Group: "N/A", Status: "N/A", labels: v.Labels,
	}
}

// selection says which volumes are shown.
func selection(ctx context.Context, e *env.Env, filters []string) (func(volume.Volume) bool, error) {
	set, err := filter.Parse(filters, "dangling", "driver", "label", "name")
	if err != nil {
		return nil, err
	}
	dangling, given, err := set.Bool("dangling")
	if err != nil {
		return nil, err
	}
	var users map[string][]string
	if given {
		if users, err = e.Containers.VolumeUse(ctx); err != nil {
			return nil, err
		}
	}
	return func(v volume.Volume) bool {
		return (!given || dangling == (len(users[v.Name]) == 0)) &&
			set.Any("driver", func(d string) bool { return d == "local" }) &&
			set.Any("name", func(n string) bool { return strings.Contains(v.Name, n) }) &&
			set.Labels("label", v.Labels)
	}, nil
}
