// Package mounts reads what the user says of mounts, and makes what they need before a container starts: volumes, their
// first content, and directories of the host.
package mounts

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// Flags are those of run and create about mounts.
type Flags struct{ volumes, mounts, tmpfs, from cli.StringSlice }

// Flags are the command line's, which set f when they are read.
func (f *Flags) Flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "volume", Aliases: []string{"v"}, Usage: "show the host's directory or file SRC, or the volume of that name, at DST: `SRC:DST[:OPTIONS]`; DST alone is a fresh volume", Destination: &f.volumes},
		&cli.StringSliceFlag{Name: "mount", Usage: "the same in words: `type=TYPE,src=SRC,dst=DST,...` of type bind, volume or tmpfs", Destination: &f.mounts},
		&cli.StringSliceFlag{Name: "tmpfs", Usage: "mount an empty tmpfs at `DST[:OPTIONS]`", Destination: &f.tmpfs},
		&cli.StringSliceFlag{Name: "volumes-from", Usage: "mount what is mounted in `CONTAINER[:ro]` from outside", Destination: &f.from},
	}
}

// Of returns the mounts of a container by its name.
type Of func(container string) ([]spec.Mount, error)

// Parse returns the mounts that were asked for, sorted by depth, so that one inside another comes after it.
func (f *Flags) Parse(of Of) ([]spec.Mount, error) {
	asked := table{}
	for _, source := range []struct {
		flag   string
		values []string
		parse  func(string) (spec.Mount, error)
	}{
		{"-v", f.volumes.Value(), parseVolume}, {"--mount", f.mounts.Value(), parseMount}, {"--tmpfs", f.tmpfs.Value(), parseTmpfs},
	} {
		for _, v := range source.values {
			m, err := source.parse(v)
			if err == nil {
				err = asked.add(m)
			}
			if err != nil {
				return nil, fmt.Errorf("%s %q: %w", source.flag, v, err)
			}
		}
	}
	all := table{}
	for _, v := range f.from.Value() {
		list, err := parseFrom(v, of)
		if err != nil {
			return nil, fmt.Errorf("--volumes-from %q: %w", v, err)
		}
		for _, m := range list {
			all[m.Target] = m
		}
	}
	maps.Copy(all, asked)
	return all.sorted(), nil
}

// WithImage adds to mounts that were asked for, where none of them is, a fresh volume for each path that the image
// declares. They are sorted like those of Parse.
func WithImage(asked []spec.Mount, volumes map[string]struct{}) ([]spec.Mount, error) {
	if len(volumes) == 0 {
		return asked, nil
	}
	all := table{}
	for _, m := range asked {
		all[m.Target] = m
	}
	for target := range volumes {
		if _, taken := all[path.Clean(target)]; taken {
			continue
		}
		if err := all.add(spec.Mount{Type: "volume", Target: target, Anonymous: true}); err != nil {
			return nil, fmt.Errorf("the image's volume %q: %w", target, err)
		}
	}
	return all.sorted(), nil
}

// table is mounts by their targets.
type table map[string]spec.Mount

func (t table) sorted() []spec.Mount {
	return slices.SortedFunc(maps.Values(t), func(a, b spec.Mount) int {
		return strings.Compare(strings.ReplaceAll(a.Target, "/", "\x00"), strings.ReplaceAll(b.Target, "/", "\x00"))
	})
}

func (t table) add(m spec.Mount) error {
	if path.IsAbs(m.Target) && path.Clean(m.Target) == "/" {
		return invalid("nothing can be mounted on the container's root; --rootfs DIR makes a directory the root")
	}
	if !path.IsAbs(m.Target) || strings.ContainsRune(m.Target+m.Source, 0) {
		return invalid("%q is no absolute path inside the container", m.Target)
	}
	m.Target = path.Clean(m.Target)
	if _, taken := t[m.Target]; taken {
		return invalid("%s is mounted on twice", m.Target)
	}
	t[m.Target] = m
	return nil
}

// parseFrom reads CONTAINER or CONTAINER:MODE and returns that container's mounts, but those of tmpfs.
func parseFrom(v string, of Of) ([]spec.Mount, error) {
	name, mode, _ := strings.Cut(v, ":")
	if name == "" {
		return nil, invalid("give CONTAINER or CONTAINER:ro")
	}
	readOnly := false
	for word := range strings.SplitSeq(mode, ",") {
		switch word {
		case "", "rw":
		case "ro":
			readOnly = true
		case "z", "Z":
			if err := checkLabels(word); err != nil {
				return nil, err
			}
		default:
			return nil, invalid("the mode is ro or rw, not %q; the rest is as in that container", word)
		}
	}
	mounts, err := of(name)
	if err != nil {
		return nil, err
	}
	var list []spec.Mount
	for _, m := range mounts {
		if m.Type == "tmpfs" {
			continue
		}
		m.ReadOnly = m.ReadOnly || readOnly
		m.Shared = true
		list = append(list, m)
	}
	return list, nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, errdefs.ErrInvalidArgument)...)
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, errdefs.ErrNotImplemented)...)
}
