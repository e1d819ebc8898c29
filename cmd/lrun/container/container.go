// Package container holds the commands that make, run, list and remove containers.
package container

import (
	"context"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/container/changes"
	"github.com/lrun-dev/lrun/cmd/lrun/container/list"
	"github.com/lrun-dev/lrun/cmd/lrun/container/settings"
	"github.com/lrun-dev/lrun/cmd/lrun/container/stop"
	"github.com/lrun-dev/lrun/cmd/lrun/container/use"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/command"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/prune"
	"github.com/lrun-dev/lrun/image/builtin"
	"github.com/lrun-dev/lrun/runtime"
)

// Group is the table of the commands about containers.
func Group() command.Group {
	one := func(name string) []string { return []string{name} }
	return command.Group{
		Name:  "container",
		Usage: "manage containers",
		Entries: []command.Entry{
			{
				Top: one("run"), Sub: one("run"), New: runCommand, Args: command.AtLeast(1), FlagsFirst: true, OwnSignals: true,
				Fail: 125, Common: true, RefusedFlags: settings.Refused,
			},
			{
				Top: one("create"), Sub: one("create"), New: createCommand, Args: command.AtLeast(1), FlagsFirst: true, Fail: 125,
				Common: true, RefusedFlags: settings.Refused,
			},
			{Top: one("start"), Sub: one("start"), New: startCommand, Args: command.Exactly(1), OwnSignals: true, Common: true, RefusedFlags: settings.RefusedOfStart},
			{Top: one("ps"), Sub: []string{"ls", "list", "ps"}, New: list.Command, ReadOnly: true, Common: true, RefusedFlags: list.Refused},
			{Top: one("kill"), Sub: one("kill"), New: killCommand, Args: command.AtLeast(1)},
			{Top: one("stop"), Sub: one("stop"), New: stopCommand, Args: command.AtLeast(1), Common: true},
			{Top: one("rm"), Sub: []string{"rm", "remove"}, New: removeCommand, Args: command.AtLeast(1), Common: true, RefusedFlags: settings.RefusedOfRemove},
			{Top: one("commit"), Sub: one("commit"), New: commitCommand, Args: command.Arity{Min: 1, Max: 2}, RefusedFlags: changes.RefusedOfCommit},
			{Top: one("diff"), Sub: one("diff"), New: diffCommand, Args: command.Exactly(1)},
			{Top: one("export"), Sub: one("export"), New: exportCommand, Args: command.Exactly(1)},
			{Top: one(builtin.Command), New: helloCommand, Hidden: true},
			{Sub: one("inspect"), New: inspectCommand, Args: command.AtLeast(1)},
			{Sub: one("prune"), New: prune.Containers},
		},
	}
}

func commitCommand(e *env.Env) *cli.Command { return changes.CommitCommand(e, sweep) }

func diffCommand(e *env.Env) *cli.Command { return changes.DiffCommand(e, sweep) }

func stopCommand(e *env.Env) *cli.Command { return stop.Command(e, sweep) }

// Use is what commands about images ask of containers: env.Containers.
type Use struct{ Env *env.Env }

var _ env.Containers = Use{}

// ImageUse implements env.Containers.
func (u Use) ImageUse(ctx context.Context) (func(digest.Digest) (string, bool), error) {
	return use.Images(ctx, u.Env)
}

// Count implements env.Containers.
func (u Use) Count(context.Context) (map[string]int, error) {
	store := containers(u.Env)
	all, err := store.List()
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, c := range all {
		switch st, err := store.State(c.ID); {
		case err == nil:
			counts[string(st.Status)]++
		case !errdefs.IsNotFound(err): // else it is gone since
			return nil, err
		}
	}
	return counts, nil
}

// VolumeUse implements env.Containers.
func (u Use) VolumeUse(context.Context) (map[string][]string, error) { return volumeUsers(u.Env) }

func containers(e *env.Env) *runtime.Store { return e.Runtime() }
