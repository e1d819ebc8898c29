package volume

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/command"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/filter"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/internal/tree"
	"github.com/lrun-dev/lrun/volume"
)

func removeCommand(e *env.Env) *cli.Command {
	var force bool
	return &cli.Command{
		Usage:     "remove volumes that no container uses, with all their files",
		ArgsUsage: "VOLUME...",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "do not mind one that is not there", Destination: &force},
		},
		Action: func(c *cli.Context) error { return runRemove(c.Context, e, force, c.Args().Slice()) },
	}
}

func runRemove(ctx context.Context, e *env.Env, force bool, names []string) error {
	if err := begin(e); err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		err := removeOne(ctx, e, name)
		if errors.Is(err, errdefs.ErrNotFound) {
			err = command.Plain("Error: No such volume: " + name)
			if force {
				err = nil
			}
		}
		if err == nil {
			_, err = fmt.Fprintln(e.Out, name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// removeOne removes a volume that it holds, so that no container takes it meanwhile.
func removeOne(ctx context.Context, e *env.Env, name string) error {
	h, err := e.Volumes().Hold(name)
	if err != nil {
		return err
	}
	users, err := e.Containers.VolumeUse(ctx)
	if used := users[name]; err == nil && len(used) > 0 {
		err = fmt.Errorf("remove volume %s: it is in use by container %s; remove that first (lrun rm): %w",
			name, strings.Join(shortened(used), ", "), errdefs.ErrFailedPrecondition)
	}
	if err != nil {
		return errors.Join(err, h.Close())
	}
	return h.Remove(ctx)
}

func shortened(ids []string) []string {
	var list []string
	for _, id := range ids {
		list = append(list, format.ShortID(id))
	}
	return list
}

type pruneOptions struct {
	all, force bool
	filters    cli.StringSlice
}

func pruneCommand(e *env.Env) *cli.Command {
	var o pruneOptions
	return &cli.Command{
		Usage:       "remove the anonymous volumes that no container uses",
		Description: "Filters: all=true|false (as --all), label=NAME[=VALUE], label!=NAME[=VALUE].",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "those with a name of their own too", Destination: &o.all},
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "do not ask", Destination: &o.force},
			&cli.StringSliceFlag{Name: "filter", Usage: "remove only volumes for which `KEY=VALUE` is true", Destination: &o.filters},
		},
		Action: func(c *cli.Context) error { return runPrune(c.Context, e, o) },
	}
}

func runPrune(ctx context.Context, e *env.Env, o pruneOptions) error {
	if err := begin(e); err != nil {
		return err
	}
	keep, err := pruned(&o)
	if err != nil {
		return err
	}
	if !o.force {
		if yes, err := confirm(e, o.all); !yes || err != nil {
			return err
		}
	}
	list, err := e.Volumes().List()
	errs := []error{err}
	var names []string
	var freed int64
	for _, v := range list {
		if !keep(v) {
			continue
		}
		size, err := removeDangling(ctx, e, v)
		if errors.Is(err, errdefs.ErrFailedPrecondition) || errors.Is(err, errdefs.ErrNotFound) {
			continue
		}
		if err == nil {
			names, freed = append(names, v.Name), freed+size
		}
		errs = append(errs, err)
	}
	if len(names) > 0 {
		_, err = fmt.Fprintf(e.Out, "Deleted Volumes:\n%s\n\n", strings.Join(names, "\n"))
		errs = append(errs, err)
	}
	_, err = fmt.Fprintln(e.Out, "Total reclaimed space: "+format.Size(freed))
	return errors.Join(append(errs, err)...)
}

// removeDangling removes a volume that nobody uses and returns how much that frees.
func removeDangling(ctx context.Context, e *env.Env, v volume.Volume) (size int64, err error) {
	if v.Device() == "" {
		size, _, err = tree.Usage(ctx, e.Volumes().Path(v))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return 0, err
		}
	}
	return size, removeOne(ctx, e, v.Name)
}

// pruned says which volumes may go.
func pruned(o *pruneOptions) (func(volume.Volume) bool, error) {
	set, err := filter.Parse(o.filters.Value(), "all", "label", "label!")
	if err != nil {
		return nil, err
	}
	all, given, err := set.Bool("all")
	if err != nil {
		return nil, err
	}
	if given {
		o.all = all
	}
	return func(v volume.Volume) bool {
		if !o.all && !v.Anonymous() || !set.Labels("label", v.Labels) {
			return false
		}
		return !slices.ContainsFunc(set.Values("label!"), func(label string) bool {
			name, value, hasValue := strings.Cut(label, "=")
			have, ok := v.Labels[name]
			return ok && (!hasValue || have == value)
		})
	}, nil
}

func confirm(e *env.Env, all bool) (bool, error) {
	which := "anonymous local volumes"
	if all {
		which = "all local volumes"
	}
	if _, err := fmt.Fprintf(e.Out, "WARNING! This will remove %s not used by at least one container.\nAre you sure you want to continue? [y/N] ", which); err != nil {
		return false, err
	}
	answer, _ := bufio.NewReader(e.In).ReadString('\n') // an end of input is a no
	return strings.EqualFold(strings.TrimSpace(answer), "y"), nil
}
