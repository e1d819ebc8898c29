// Package volume holds the commands that make, list and remove volumes.
package volume

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/inspect"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/command"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/prune"
	"github.com/lrun-dev/lrun/volume"
)

// Group is the table of the commands about volumes.
func Group() command.Group {
	const oneHost = "lrun works on one machine"
	cluster := func() map[string]string {
		return map[string]string{
			"availability": oneHost, "cluster": oneHost, "group": oneHost, "limit-bytes": oneHost, "required-bytes": oneHost, "scope": oneHost,
			"secret": oneHost, "sharing": oneHost, "topology-preferred": oneHost, "topology-required": oneHost,
		}
	}
	return command.Group{
		Name:  "volume",
		Usage: "manage volumes",
		Entries: []command.Entry{
			{Sub: []string{"create"}, New: createCommand, Args: command.AtMost(1), RefusedFlags: cluster},
			{Sub: []string{"ls", "list"}, New: listCommand, RefusedFlags: cluster},
			{Sub: []string{"inspect"}, New: inspect.Command(Inspector), ReadOnly: true, Args: command.AtLeast(1)},
			{Sub: []string{"rm", "remove"}, New: removeCommand, Args: command.AtLeast(1)},
			{Sub: []string{"prune"}, New: prune.Volumes},
		},
	}
}

// Inspector finds volumes for inspect.
func Inspector(e *env.Env) inspect.Inspector { return inspector{e} }

type inspector struct{ env *env.Env }

// Type is the word for what is inspected.
func (inspector) Type() string { return "volume" }

// inspected is a volume as inspect shows it, with Docker's names.
type inspected struct {
	CreatedAt  time.Time
	Driver     string
	Labels     map[string]string
	Mountpoint string
	Name       string
	Options    map[string]string
	Scope      string
}

// Inspect returns what is known of one volume.
func (i inspector) Inspect(_ context.Context, name string, _ bool) (any, error) {
	if err := i.env.Readable(); err != nil {
		return nil, err
	}
	store := i.env.Volumes()
	v, err := store.Get(name)
	return inspected{
		CreatedAt: v.Created, Driver: "local", Labels: v.Labels, Mountpoint: store.Path(v), Name: v.Name, Options: v.Options, Scope: "local",
	}, err
}

type createOptions struct {
	driver          string
	labels, options cli.StringSlice
}

func createCommand(e *env.Env) *cli.Command {
	var o createOptions
	return &cli.Command{
		Usage:     "make a volume",
		ArgsUsage: "[NAME]",
		Description: `Without a NAME it gets one of 64 digits. A volume that is there already is left as it is, unless it was made with other
labels or options than those that are given.

Examples:
  lrun volume create data
  lrun volume create -o type=none -o o=bind -o device=/srv/data data`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "driver", Aliases: []string{"d"}, Usage: "the `DRIVER`; there is only local", Value: "local", Destination: &o.driver},
			&cli.StringSliceFlag{Name: "label", Usage: "label the volume with `NAME[=VALUE]`", Destination: &o.labels},
			&cli.StringSliceFlag{Name: "opt", Aliases: []string{"o"}, Usage: "`NAME=VALUE` of type=none, o=bind and device=DIR, which make a volume that shows DIR", Destination: &o.options},
		},
		Action: func(c *cli.Context) error { return runCreate(c.Context, e, o, c.Args().First()) },
	}
}

func runCreate(ctx context.Context, e *env.Env, o createOptions, name string) error {
	if err := begin(e); err != nil {
		return err
	}
	if o.driver != "local" {
		return fmt.Errorf("volume driver %q: there is only local; mount it on the host and bind it: %w", o.driver, errdefs.ErrNotImplemented)
	}
	wanted := volume.Options{Labels: pairs(o.labels.Value()), Options: pairs(o.options.Value())}
	if name == "" {
		name = volume.NewName()
		if wanted.Labels == nil {
			wanted.Labels = map[string]string{}
		}
		wanted.Labels[volume.AnonymousLabel] = ""
	}
	if err := errors.Join(volume.CheckName(name), volume.CheckOptions(wanted.Options)); err != nil {
		return err
	}
	h, err := e.Volumes().Obtain(ctx, name, wanted)
	if err != nil {
		return err
	}
	if differs(wanted.Labels, h.Labels) || differs(wanted.Options, h.Options) {
		err = fmt.Errorf("volume %q is there already, with other labels or options; remove it first (lrun volume rm %[1]s): %w", name, errdefs.ErrAlreadyExists)
		return errors.Join(err, h.Close())
	}
	if err := h.Close(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.Out, name)
	return err
}

// differs tells whether something wanted is not so.
func differs(wanted, have map[string]string) bool {
	for name, value := range wanted {
		if v, ok := have[name]; !ok || v != value {
			return true
		}
	}
	return false
}

// pairs reads NAME=VALUE; a name alone has an empty value.
func pairs(list []string) map[string]string {
	if len(list) == 0 {
		return nil
	}
	m := map[string]string{}
	for _, entry := range list {
		name, value, _ := strings.Cut(entry, "=")
		m[name] = value
	}
	return m
}

// begin makes sure that the root is one that this lrun understands.
func begin(e *env.Env) error {
	if err := e.Readable(); err != nil {
		return err
	}
	_, err := e.Images()
	return err
}
