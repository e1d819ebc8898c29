package settings

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// userMounts are those of -v and --tmpfs and, where none of them is, a fresh volume for each path that
// the image declares. They are sorted by depth, so that one inside another comes after it.
func userMounts(o *Options, ofImage map[string]struct{}) ([]spec.Mount, error) {
	at := map[string]spec.Mount{}
	add := func(m spec.Mount, flag string) error {
		m.Target = path.Clean(m.Target)
		if !path.IsAbs(m.Target) || m.Target == "/" {
			return fmt.Errorf("%s: %q: give an absolute path inside the container other than /: %w", flag, m.Target, errdefs.ErrInvalidArgument)
		}
		if _, taken := at[m.Target]; taken {
			return fmt.Errorf("%s: %s is mounted on twice: %w", flag, m.Target, errdefs.ErrInvalidArgument)
		}
		at[m.Target] = m
		return nil
	}
	for _, v := range o.volumes.Value() {
		m, err := parseVolume(v)
		if err == nil {
			err = add(m, "-v "+v)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, v := range o.tmpfs.Value() {
		m, err := parseTmpfs(v)
		if err == nil {
			err = add(m, "--tmpfs "+v)
		}
		if err != nil {
			return nil, err
		}
	}
	for target := range ofImage {
		if _, taken := at[path.Clean(target)]; taken {
			continue
		}
		if err := add(spec.Mount{Type: "volume", Target: target}, "the image's volume "+target); err != nil {
			return nil, err
		}
	}
	return slices.SortedFunc(maps.Values(at), func(a, b spec.Mount) int {
		return strings.Compare(strings.ReplaceAll(a.Target, "/", "\x00"), strings.ReplaceAll(b.Target, "/", "\x00"))
	}), nil
}

// parseVolume reads DST, SRC:DST or SRC:DST:OPTIONS.
func parseVolume(v string) (spec.Mount, error) {
	parts := strings.Split(v, ":")
	if len(parts) > 3 || slices.Contains(parts, "") {
		return spec.Mount{}, fmt.Errorf("-v %q: give SRC:DST or SRC:DST:ro: %w", v, errdefs.ErrInvalidArgument)
	}
	if len(parts) == 1 {
		return spec.Mount{Type: "volume", Target: parts[0]}, nil
	}
	m := spec.Mount{Type: "bind", Source: parts[0], Target: parts[1]}
	if !strings.HasPrefix(m.Source, "/") && !strings.HasPrefix(m.Source, ".") {
		return m, fmt.Errorf("-v %q: there are no named volumes yet; give a directory of the host, such as ./%s: %w", v, m.Source, errdefs.ErrNotImplemented)
	}
	source, err := filepath.Abs(m.Source)
	if err != nil {
		return m, err
	}
	m.Source = source
	if len(parts) < 3 {
		return m, nil
	}
	for option := range strings.SplitSeq(parts[2], ",") {
		switch option {
		case "ro":
			m.ReadOnly = true
		case "rw", "rprivate":
		default:
			return m, fmt.Errorf("-v %q: option %q is not supported; only ro and rw are: %w", v, option, errdefs.ErrNotImplemented)
		}
	}
	return m, nil
}

// parseTmpfs reads DST or DST:OPTIONS, the options being those of tmpfs(5) and the mount's own.
func parseTmpfs(v string) (spec.Mount, error) {
	target, options, _ := strings.Cut(v, ":")
	m := spec.Mount{Type: "tmpfs", Target: target}
	for option := range strings.SplitSeq(options, ",") {
		name, _, _ := strings.Cut(option, "=")
		switch name {
		case "":
		case "rw", "ro", "exec", "noexec", "suid", "nosuid", "dev", "nodev", "noatime", "size", "mode", "uid", "gid", "nr_inodes", "nr_blocks":
			m.Options = append(m.Options, option)
		default:
			return m, fmt.Errorf("--tmpfs %q: tmpfs has no option %q: %w", v, name, errdefs.ErrInvalidArgument)
		}
	}
	return m, nil
}
