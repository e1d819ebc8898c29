// Package inspect holds the command that shows all that lrun knows of an object, whatever its type.
package inspect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/command"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
)

// Inspector finds the objects of one type.
type Inspector interface {
	// Type is the word for it: "image", "container".
	Type() string
	// Inspect returns what is shown of the object that name means, a struct that encodes as JSON. With size it
	// counts what is costly to count. An object that is not there is errdefs.ErrNotFound.
	Inspect(ctx context.Context, name string, size bool) (any, error)
}

// Of makes an Inspector. It opens nothing.
type Of func(e *env.Env) Inspector

// Group is the table with `lrun inspect` alone. A name that several types have means the first of them.
func Group(types ...Of) command.Group {
	return command.Group{Entries: []command.Entry{
		{Top: []string{"inspect"}, New: Command(types...), ReadOnly: true, Args: command.AtLeast(1)},
	}}
}

type options struct {
	format, kind string
	size         bool
}

// Command returns the constructor of a command that inspects objects of the types: of one, as in `lrun image
// inspect`, or of several, which --type chooses among.
func Command(types ...Of) func(*env.Env) *cli.Command {
	return func(e *env.Env) *cli.Command {
		var o options
		var kinds []Inspector
		for _, of := range types {
			kinds = append(kinds, of(e))
		}
		cmd := &cli.Command{
			Usage:     "show all that is known of an object, as JSON",
			ArgsUsage: "NAME|ID [NAME|ID...]",
			Description: `A template is given each object; it may use the names of the JSON.

Examples:
  lrun inspect -f '{{.Config.Env}}' busybox
  lrun inspect -f '{{json .RootFS.Layers}}' busybox`,
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "show 'json' on one line or what a Go `TEMPLATE` makes of each object", DefaultText: "a JSON array", Destination: &o.format},
			},
			Action: func(c *cli.Context) error { return run(c.Context, e, kinds, o, c.Args().Slice()) },
		}
		if len(kinds) == 1 && kinds[0].Type() != "container" {
			cmd.Usage = "show all that is known of one " + kinds[0].Type() + " or several, as JSON"
			return cmd
		}
		cmd.Flags = append(cmd.Flags, &cli.BoolFlag{Name: "size", Aliases: []string{"s"}, Usage: "count the size of containers, which may take long", Destination: &o.size})
		if len(kinds) > 1 {
			cmd.Flags = append(cmd.Flags, &cli.StringFlag{Name: "type", Usage: "inspect only objects of `TYPE`: " + strings.Join(words(kinds), " or "), DefaultText: "any", Destination: &o.kind})
		}
		return cmd
	}
}

// words are the types' words.
func words(kinds []Inspector) []string {
	var all []string
	for _, k := range kinds {
		all = append(all, k.Type())
	}
	return all
}

func run(ctx context.Context, e *env.Env, kinds []Inspector, o options, args []string) error {
	if err := format.Inspect(io.Discard, o.format, nil); err != nil {
		return command.Exit(64, err) // the template is wrong, as with Docker
	}
	word := "object"
	if o.kind != "" {
		chosen, err := choose(kinds, o.kind)
		if err != nil {
			return err
		}
		kinds = []Inspector{chosen}
	}
	if len(kinds) == 1 {
		word = kinds[0].Type()
	}
	var found []any
	var failed []error
	for _, name := range args {
		object, err := find(ctx, kinds, name, o.size)
		switch {
		case err == nil:
			found = append(found, object)
		case errdefs.IsNotFound(err):
			failed = append(failed, command.Plain("Error: No such "+word+": "+name))
		default:
			failed = append(failed, err)
		}
	}
	if len(found) > 0 || o.format == "" {
		if err := format.Inspect(e.Out, o.format, found); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// choose returns the inspector of the type word.
func choose(kinds []Inspector, word string) (Inspector, error) {
	var quoted []string
	for _, k := range kinds {
		if k.Type() == word {
			return k, nil
		}
		quoted = append(quoted, strconv.Quote(k.Type()))
	}
	return nil, errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("unknown type: %q: must be one of %s", word, strings.Join(quoted, ", ")))
}

// find asks each inspector for name. What one of them cannot make sense of may still be another's.
func find(ctx context.Context, kinds []Inspector, name string, size bool) (any, error) {
	var first error
	for _, k := range kinds {
		object, err := k.Inspect(ctx, name, size)
		if err == nil {
			return object, nil
		}
		if first == nil && !errdefs.IsNotFound(err) {
			first = err
		}
	}
	if first == nil {
		first = errdefs.ErrNotFound
	}
	return nil, first
}
