// Package list holds the command that lists containers.
package list

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/filter"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/runtime"
)

type options struct {
	all, quiet, noTrunc, latest bool
	format                      string
	last                        int
	filters                     cli.StringSlice
}

// Command is ps, and container ls.
func Command(e *env.Env) *cli.Command {
	o := &options{}
	return &cli.Command{
		Usage: "list containers: those that run, or all",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "also those that do not run", Destination: &o.all},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "ids only", Destination: &o.quiet},
			&cli.BoolFlag{Name: "no-trunc", Usage: "show ids and commands whole", Destination: &o.noTrunc},
			&cli.BoolFlag{Name: "latest", Aliases: []string{"l"}, Usage: "only the one made last, in any state", Destination: &o.latest},
			&cli.IntFlag{Name: "last", Aliases: []string{"n"}, Usage: "only the `NUMBER` made last, in any state", DefaultText: "no limit", Destination: &o.last},
			&cli.StringSliceFlag{Name: "filter", Aliases: []string{"f"}, Usage: "only where `KEY=VALUE`: ancestor, exited, id, label, name (a regular expression), network, status", Destination: &o.filters},
			&cli.StringFlag{Name: "format", Usage: "show 'table', 'table TEMPLATE', 'json' or what a Go `TEMPLATE` makes of each", Destination: &o.format},
		},
		Action: func(c *cli.Context) error { return runList(c.Context, e, o) },
	}
}

// row is one container in the list, with Docker's names for templates.
type row struct {
	ID         string
	Image      string
	Command    string
	CreatedAt  string
	RunningFor string
	State      string
	Status     string
	Ports      string
	Names      string
	Labels     string
	Mounts     string
	Networks   string

	LocalVolumes string

	labels map[string]string
}

// Label returns the value of one label.
func (r row) Label(name string) string { return r.labels[name] }

func columns() []format.Column {
	return []format.Column{
		{Header: "CONTAINER ID", Field: "ID"},
		{Header: "IMAGE", Field: "Image"},
		{Header: "COMMAND", Field: "Command"},
		{Header: "CREATED", Field: "RunningFor"},
		{Header: "STATUS", Field: "Status"},
		{Header: "PORTS", Field: "Ports"},
		{Header: "NAMES", Field: "Names"},
		{Header: "CREATED AT", Field: "CreatedAt", Extra: true},
		{Header: "STATE", Field: "State", Extra: true},
		{Header: "LABELS", Field: "Labels", Extra: true},
		{Header: "MOUNTS", Field: "Mounts", Extra: true},
		{Header: "NETWORKS", Field: "Networks", Extra: true},
		{Header: "LOCAL VOLUMES", Field: "LocalVolumes", Extra: true},
	}
}

// listed is a container with its state.
type listed struct {
	runtime.Container

	state runtime.State
}

func runList(ctx context.Context, e *env.Env, o *options) error {
	if err := e.Readable(); err != nil {
		return err
	}
	f, err := format.Parse(o.format)
	if err != nil {
		return err
	}
	keep, err := selection(o, func(name string) string { return imageID(ctx, e, name) })
	if err != nil {
		return err
	}
	list, broken := readAll(e.Runtime())
	list = slices.DeleteFunc(list, func(l listed) bool { return !keep(l) })
	sort.SliceStable(list, func(i, j int) bool { return list[i].Created.After(list[j].Created) })
	if o.latest {
		o.last = 1
	}
	if o.last > 0 {
		list = list[:min(o.last, len(list))]
	}
	if o.quiet {
		ids := make([]string, len(list))
		for i, l := range list {
			ids[i] = o.id(l.ID)
		}
		return errors.Join(format.Lines(e.Out, ids), broken)
	}
	rows := make([]row, len(list))
	for i, l := range list {
		rows[i] = o.row(e.Now(), l)
	}
	return errors.Join(format.Write(e.Out, f, columns(), rows), broken)
}

// imageID is the id of an image, or nothing when it is not there.
func imageID(ctx context.Context, e *env.Env, name string) string {
	images, err := e.Images()
	if err != nil {
		return ""
	}
	rec, err := images.Resolve(ctx, name)
	if err != nil {
		return ""
	}
	return rec.Image.String()
}

// readAll reads every container; one that vanishes meanwhile is left out, one that cannot be read is
// in the error.
func readAll(store *runtime.Store) ([]listed, error) {
	containers, err := store.List()
	list := make([]listed, 0, len(containers))
	for _, c := range containers {
		st, stateErr := store.State(c.ID)
		switch {
		case stateErr == nil:
			list = append(list, listed{c, st})
		case !errdefs.IsNotFound(stateErr):
			err = errors.Join(err, stateErr)
		}
	}
	return list, err
}

// selection says which containers are shown, of which imageID resolves the images that are asked for.
func selection(o *options, imageID func(name string) string) (func(listed) bool, error) {
	set, err := filter.Parse(o.filters.Value(), "ancestor", "exited", "id", "label", "name", "network", "status")
	if err == nil {
		err = checkFilters(set)
	}
	names, err2 := patterns(set.Values("name"))
	if err = errors.Join(err, err2); err != nil {
		return nil, err
	}
	everything := o.all || o.latest || o.last > 0 || set.Has("status") || set.Has("exited")
	ancestor := once(imageID)
	return func(l listed) bool {
		return (everything || l.state.Status == runtime.Running) &&
			set.Any("id", func(v string) bool { return strings.HasPrefix(l.ID, v) }) &&
			set.Any("name", func(v string) bool { return names[v].MatchString(l.Name) || names[v].MatchString("/"+l.Name) }) &&
			set.Any("network", func(v string) bool { return l.Network == v }) &&
			set.Any("ancestor", func(v string) bool { return madeFrom(l, v, ancestor(v)) }) &&
			set.Labels("label", l.Labels) && inState(set, l.state)
	}, nil
}

// once is resolve that is asked only once for each name, and not before there is a container.
func once(resolve func(name string) string) func(name string) string {
	known := map[string]string{}
	return func(name string) string {
		if _, ok := known[name]; !ok {
			known[name] = resolve(name)
		}
		return known[name]
	}
}

func inState(set filter.Set, st runtime.State) bool {
	return set.Any("status", func(v string) bool { return string(st.Status) == v }) &&
		set.Any("exited", func(v string) bool { return st.Status == runtime.Exited && strconv.Itoa(st.ExitCode) == v })
}

// checkFilters refuses values that no container can have.
func checkFilters(set filter.Set) error {
	states := []runtime.Status{runtime.Created, runtime.Running, runtime.Exited}
	for _, v := range set.Values("status") {
		if !slices.Contains(states, runtime.Status(v)) && !slices.Contains([]string{"paused", "restarting", "removing", "dead"}, v) {
			return fmt.Errorf("filter status=%s: a container is one of %v: %w", v, states, errdefs.ErrInvalidArgument)
		}
	}
	for _, v := range set.Values("exited") {
		if _, err := strconv.Atoi(v); err != nil {
			return fmt.Errorf("filter exited=%s: it is no exit code: %w", v, errdefs.ErrInvalidArgument)
		}
	}
	return nil
}

// patterns reads what names are to match, by themselves or with a slash before them, as regular expressions.
func patterns(names []string) (map[string]*regexp.Regexp, error) {
	all := map[string]*regexp.Regexp{}
	for _, name := range names {
		p, err := regexp.Compile(name)
		if err != nil {
			return nil, fmt.Errorf("filter name=%s: it is no regular expression: %w: %w", name, err, errdefs.ErrInvalidArgument)
		}
		all[name] = p
	}
	return all, nil
}

// madeFrom says whether l is a container of an image by its name or id; of one that is there, id is the id.
func madeFrom(l listed, image, id string) bool {
	if id != "" {
		return l.ImageID == id
	}
	return l.Image == image || strings.TrimSuffix(l.Image, ":latest") == strings.TrimSuffix(image, ":latest") ||
		len(image) >= 12 && strings.HasPrefix(strings.TrimPrefix(l.ImageID, "sha256:"), strings.TrimPrefix(image, "sha256:"))
}

func (o *options) id(id string) string {
	if o.noTrunc {
		return id
	}
	return format.ShortID(id)
}

func (o *options) row(now time.Time, l listed) row {
	command := commandLine(l.Settings.Args)
	if !o.noTrunc {
		command = format.Ellipsis(command, 20)
	}
	return row{
		ID: o.id(l.ID), Image: imageName(l.Image), Command: strconv.Quote(command), CreatedAt: format.Time(l.Created),
		RunningFor: format.Ago(now, l.Created), State: string(l.state.Status), Status: status(now, l.state), Names: l.Name,
		Labels: labelList(l.Labels), Mounts: mountList(l), Networks: l.Network, labels: l.Labels,
		LocalVolumes: strconv.Itoa(localVolumes(l)),
	}
}

// localVolumes counts the volumes of a container.
func localVolumes(l listed) (n int) {
	for _, m := range l.Settings.Mounts {
		if m.Type == "volume" {
			n++
		}
	}
	return n
}

// commandLine joins a program and its arguments; one with a space in it is quoted, as Docker does.
func commandLine(args []string) string {
	words := slices.Clone(args)
	for i := 1; i < len(words); i++ {
		if strings.Contains(words[i], " ") {
			words[i] = "'" + words[i] + "'"
		}
	}
	return strings.Join(words, " ")
}

// imageName shortens an image that was given by its id.
func imageName(name string) string {
	if id, ok := strings.CutPrefix(name, "sha256:"); ok {
		return format.ShortID(id)
	}
	return name
}

func status(now time.Time, s runtime.State) string {
	switch s.Status {
	case runtime.Running:
		return "Up " + units.HumanDuration(now.Sub(s.StartedAt))
	case runtime.Exited:
		return fmt.Sprintf("Exited (%d) %s", s.ExitCode, format.Ago(now, s.FinishedAt))
	case runtime.Created:
		return "Created"
	}
	return string(s.Status)
}

func labelList(labels map[string]string) string {
	list := make([]string, 0, len(labels))
	for name, value := range labels {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}

func mountList(l listed) string {
	var list []string
	for _, m := range l.Settings.Mounts {
		if m.Type != "tmpfs" {
			list = append(list, m.Source)
		}
	}
	return strings.Join(list, ",")
}
