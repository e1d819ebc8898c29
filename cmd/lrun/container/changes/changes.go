// Package changes holds the commands about what a container changed in its files: diff and commit.
package changes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/layer"
	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// Sweep puts right what killed processes left.
type Sweep func(context.Context, *env.Env) error

// DiffCommand is diff.
func DiffCommand(e *env.Env, sweep Sweep) *cli.Command {
	return &cli.Command{
		Usage:     "list what a container changed in its files",
		ArgsUsage: "CONTAINER",
		Description: `A is a file or directory that was added, C one that was changed, or in which something was, D one that was deleted.
The container may run. What lrun makes for its own mounts (/dev, /proc, /sys, /etc/hosts, /etc/hostname and
/etc/resolv.conf) is not listed, the places of volumes are.

Examples:
  lrun diff web | grep ^A`,
		Action: func(c *cli.Context) error {
			if err := sweep(c.Context, e); err != nil {
				return err
			}
			return runDiff(c.Context, e, c.Args().First())
		},
	}
}

func runDiff(ctx context.Context, e *env.Env, name string) error {
	c, err := e.Runtime().Resolve(name)
	if err != nil {
		return err
	}
	var list []layer.Change
	err = Whole(ctx, e, c, func() (err error) {
		list, err = readChanges(ctx, e, c)
		return err
	})
	if err != nil {
		return fmt.Errorf("diff container %s: %w", name, err)
	}
	lines := make([]string, len(list))
	for i, change := range list {
		lines[i] = string(change.Kind) + " " + format.VisiblePath("/"+change.Path)
	}
	return format.Lines(e.Out, lines)
}

// readChanges lists what the container changed.
func readChanges(ctx context.Context, e *env.Env, c runtime.Container) (list []layer.Change, err error) {
	d, err := open(ctx, e, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return layer.Changes(ctx, d.DiffSource, options(time.Time{}))
}

// open opens what the container changed. The caller closes it.
func open(ctx context.Context, e *env.Env, c runtime.Container) (rootfs.Difference, error) {
	if c.RootWrite {
		return rootfs.Difference{}, fmt.Errorf("container %s writes to %s itself (--rootfs DIR:rw): nobody knows what was changed there: %w",
			c.Name, c.RootDir, errdefs.ErrFailedPrecondition)
	}
	roots, err := e.RootfsOf(c.Driver)
	if err != nil {
		return rootfs.Difference{}, err
	}
	if c.RootDir == "" {
		return roots.OpenDifference(ctx, c.ID)
	}
	own, err := roots.Snapshots.Path(ctx, c.ID)
	if err != nil {
		return rootfs.Difference{}, err
	}
	return rootfs.OpenDirs(own, []string{c.RootDir}, roots.Snapshots.Rebases())
}

// options leave out what a start made for lrun's own mounts.
func options(latest time.Time) layer.DiffOptions {
	return layer.DiffOptions{Made: spec.MountPoints(), Latest: latest}
}
