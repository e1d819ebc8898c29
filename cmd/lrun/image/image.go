// Package image holds the commands that are about images.
package image

import (
	"context"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/cmd/lrun/inspect"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/command"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/prune"
	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/rootfs"
)

// Group is the table of the commands about images.
func Group() command.Group {
	return command.Group{
		Name:  "image",
		Usage: "manage images",
		Entries: []command.Entry{
			{Top: []string{"history"}, Sub: []string{"history"}, New: historyCommand, ReadOnly: true, Args: command.Exactly(1), RefusedFlags: refusedOfHistory},
			{Top: []string{"images"}, Sub: []string{"ls", "list"}, New: listCommand, ReadOnly: true, Args: command.AtMost(1), Common: true, RefusedFlags: refusedOfImages},
			{Top: []string{"import"}, Sub: []string{"import"}, New: importCommand, Args: command.Arity{Min: 1, Max: 2}},
			{Sub: []string{"inspect"}, New: inspect.Command(Inspector), ReadOnly: true, Args: command.AtLeast(1)},
			{Top: []string{"load"}, Sub: []string{"load"}, New: loadCommand, Common: true},
			{Sub: []string{"prune"}, New: prune.Images},
			{Top: []string{"rmi"}, Sub: []string{"rm", "remove"}, New: removeCommand, Args: command.AtLeast(1), Common: true, RefusedFlags: refusedOfRemove},
			{Top: []string{"save"}, Sub: []string{"save"}, New: saveCommand, Args: command.AtLeast(1)},
			{Top: []string{"tag"}, Sub: []string{"tag"}, New: tagCommand, Args: command.Exactly(2)},
		},
	}
}

// resolve finds the image that name means. Absence is said in Docker's words.
func resolve(ctx context.Context, e *env.Env, name string) (image.Record, error) {
	images, err := e.Images()
	if err != nil {
		return image.Record{}, err
	}
	rec, err := images.Resolve(ctx, name)
	return rec, absent(err, name)
}

// load finds the image that name means and reads its config.
func load(ctx context.Context, e *env.Env, name string) (image.Record, image.Image, error) {
	rec, err := resolve(ctx, e, name)
	if err != nil {
		return rec, image.Image{}, err
	}
	images, err := e.Images()
	if err != nil {
		return rec, image.Image{}, err
	}
	im, err := images.Load(ctx, rec)
	return rec, im, absent(err, name)
}

// absent replaces an error that says that image name is not there by Docker's words for it.
func absent(err error, name string) error {
	if errdefs.IsNotFound(err) {
		return errdefs.ErrNotFound.WithMessage("No such image: " + name)
	}
	return err
}

// sweep removes what processes that died have left behind. It never fails a command that has done its work.
func sweep(ctx context.Context, e *env.Env) {
	err := e.EachRootfs(func(store *rootfs.Store) error { return store.Sweep(ctx) })
	if err != nil && ctx.Err() == nil {
		e.Notice("leftovers of an earlier command are still there: %v", err)
	}
}

// platform parses the value of --platform; "" is the host's.
func platform(s string) (image.Platform, error) {
	if s == "" {
		return image.Platform{}, nil
	}
	return image.ParsePlatform(s)
}

// formatUsage explains --format of lists.
const formatUsage = "`TEMPLATE` for each row: 'table' (the default), 'table TEMPLATE', 'json', or a Go template"
