// Package prune holds the commands that remove what nobody uses: of containers, images, volumes, or of all of them.
package prune

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/filter"
	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/volume"
)

type options struct {
	all, force, dryRun, volumes bool
	filters                     cli.StringSlice
}

// kind is what one of the commands has of its own.
type kind struct {
	usage    string
	all      string // usage of --all; empty: there is none
	volumes  bool   // whether there is --volumes
	filters  string
	more     string // what goes too
	choose   func(options) (request, error)
	warnings func(options) []string // what may go, as the user is warned of it
}

const ageAndLabels = "Filters: until=24h|TIME (made before then), label=NAME[=VALUE], label!=NAME[=VALUE]."

const blobsToo = " Blobs that are kept of images that there was no room for go too, whatever the filters."

// Containers makes `lrun container prune`.
func Containers(e *env.Env) *cli.Command {
	return command(e, kind{
		usage: "remove the containers that do not run", filters: ageAndLabels,
		choose: func(o options) (request, error) {
			c, err := parseChoice(o.filters.Value(), e.Now())
			return request{container: c.container}, err
		},
		warnings: func(options) []string { return []string{"all stopped containers"} },
	})
}

// Images makes `lrun image prune`.
func Images(e *env.Env) *cli.Command {
	return command(e, kind{
		usage: "remove the images without a name that no container uses", all: "those with a name too", filters: ageAndLabels, more: blobsToo,
		choose: func(o options) (request, error) {
			c, err := parseChoice(o.filters.Value(), e.Now())
			return request{image: c.image(e), taggedToo: o.all}, err
		},
		warnings: func(o options) []string { return []string{imagesWarning(o)} },
	})
}

// Volumes makes `lrun volume prune`.
func Volumes(e *env.Env) *cli.Command {
	return command(e, kind{
		usage: "remove the anonymous volumes that no container uses", all: "those with a name of their own too",
		filters: "Filters: all=true|false (as --all), label=NAME[=VALUE], label!=NAME[=VALUE].",
		choose: func(o options) (request, error) {
			set, err := filter.Parse(o.filters.Value(), "all", "label", "label!")
			if err != nil {
				return request{}, err
			}
			all, given, err := set.Bool("all")
			return request{volume: choice{set: set}.volume(all || !given && o.all)}, err
		},
		warnings: func(o options) []string {
			if o.all {
				return []string{"all local volumes not used by at least one container"}
			}
			return []string{"anonymous local volumes not used by at least one container"}
		},
	})
}

// System makes `lrun system prune`.
func System(e *env.Env) *cli.Command {
	return command(e, kind{
		usage: "remove the containers that do not run, and images without a name that no container uses",
		all:   "images with a name too", volumes: true, filters: ageAndLabels, more: blobsToo,
		choose: func(o options) (request, error) {
			c, err := parseChoice(o.filters.Value(), e.Now())
			r := request{container: c.container, image: c.image(e), taggedToo: o.all}
			if o.volumes {
				r.volume = c.volume(false)
				if c.set.Has("until") {
					err = fmt.Errorf(`the "until" filter is not supported with "--volumes": %w`, errdefs.ErrInvalidArgument)
				}
			}
			return r, err
		},
		warnings: func(o options) []string {
			list := []string{"all stopped containers", imagesWarning(o)}
			if o.volumes {
				list = []string{list[0], "all anonymous volumes not used by at least one container", list[1]}
			}
			return list
		},
	})
}

func imagesWarning(o options) string {
	if o.all {
		return "all images without at least one container associated to them"
	}
	return "all dangling images"
}

// command makes a prune command.
func command(e *env.Env, k kind) *cli.Command {
	var o options
	cmd := &cli.Command{
		Usage: k.usage,
		Description: k.filters + k.more + ` What lrun processes that were killed have left goes too.
--dry-run shows what would go and how many bytes on disk, and removes nothing. On xfs the directories of what is gone shrink too, by a
few kilobytes that are not counted.`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "only show what would go", Destination: &o.dryRun},
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "do not ask", Destination: &o.force},
			&cli.StringSliceFlag{Name: "filter", Usage: "remove only that for which `KEY=VALUE` is true", Destination: &o.filters},
		},
		Action: func(c *cli.Context) error { return run(c.Context, e, k, o) },
	}
	if k.all != "" {
		cmd.Flags = append(cmd.Flags, &cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: k.all, Destination: &o.all})
	}
	if k.volumes {
		cmd.Flags = append(cmd.Flags, &cli.BoolFlag{Name: "volumes", Usage: "anonymous volumes that no container uses too", Destination: &o.volumes})
	}
	return cmd
}

func run(ctx context.Context, e *env.Env, k kind, o options) error {
	r, err := k.choose(o)
	if err != nil {
		return err
	}
	if _, err := e.Rootfs(); err != nil { // nothing goes from a root that is not known to be lrun's, or has lost its records
		return err
	}
	if !o.force && !o.dryRun {
		if yes, err := confirm(e, k.warnings(o), o.filters.Value()); !yes || err != nil {
			return err
		}
	}
	p, broken := makePlan(ctx, e, r)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if o.dryRun {
		return errors.Join(p.expected(e.Root()).write(e, true), broken)
	}
	done, err := p.carryOut(ctx, e, o.all)
	return errors.Join(done.write(e, false), broken, err)
}

// confirm warns of what may go, one thing or several, and asks.
func confirm(e *env.Env, warnings, filters []string) (bool, error) {
	text := "WARNING! This will remove " + warnings[0] + "."
	if len(warnings) > 1 {
		text = "WARNING! This will remove:\n  - " + strings.Join(warnings, "\n  - ") + "\n"
		if len(filters) > 0 {
			text += "\n  Items to be pruned will be filtered with:\n  - " + strings.Join(filters, "\n  - ") + "\n"
		}
	}
	if _, err := fmt.Fprint(e.Out, text+"\nAre you sure you want to continue? [y/N] "); err != nil {
		return false, err
	}
	answer, _ := bufio.NewReader(e.In).ReadString('\n') // an end of input is a no
	return strings.EqualFold(strings.TrimSpace(answer), "y"), nil
}

// container tells whether a container may go.
func (c choice) container(v runtime.Container) (bool, error) {
	return c.passes(v.Created, func() (map[string]string, error) { return v.Labels, nil })
}

// image returns what tells whether an image may go.
func (c choice) image(e *env.Env) func(context.Context, image.Record) (bool, error) {
	return func(ctx context.Context, r image.Record) (bool, error) {
		return c.passes(r.Created, func() (map[string]string, error) {
			images, err := e.Images()
			if err != nil {
				return nil, err
			}
			im, err := images.Load(ctx, r)
			return im.Config.Config.Labels, err
		})
	}
}

// volume returns what tells whether a volume may go, of all or only of the anonymous ones.
func (c choice) volume(all bool) func(volume.Volume) (bool, error) {
	return func(v volume.Volume) (bool, error) {
		if !all && !v.Anonymous() {
			return false, nil
		}
		return c.passes(v.Created, func() (map[string]string, error) { return v.Labels, nil })
	}
}
