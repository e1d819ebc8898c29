// Package overlay knows overlayfs: its options, its limits, what the kernel at hand can do, and how
// a removed name is written into an upperdir.
package overlay

import (
	"fmt"
	"slices"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/mount"
)

// MaxLowers is how many lowerdirs one overlay may have: OVL_MAX_STACK of the kernel.
const MaxLowers = 500

// Options are what the mounts of one store have in common.
type Options struct {
	// Volatile leaves out every sync of the upperdir. After a crash the upperdir is worth nothing,
	// and after each mount the workdir must be renewed: see Renew.
	Volatile bool
	// Method is that of mount.Mount; Probe finds the best.
	Method mount.Method
}

// Mount describes the merge of lowers, nearest first, with changes going to upper. work is an empty
// directory beside upper, on the same mount. Without upper it is a read-only view. A directory that
// is listed again further down is left out there: the kernel refuses it twice (ELOOP), and the
// topmost alone shows the same. More than MaxLowers is an errdefs.ErrInvalidArgument.
//
// What needs no merge is a bind: a view of a single lower, or an upper without lowers.
//
// Every option that a module parameter or a distribution could set is set here, so that an upperdir
// means the same everywhere: all changes, with no redirect and no file without its data in it.
func Mount(lowers []string, upper, work string, o Options) (mount.Mount, error) {
	lowers = withoutRepeats(lowers)
	switch {
	case len(lowers) > MaxLowers:
		return mount.Mount{}, fmt.Errorf("overlay %d lowerdirs: the kernel's limit is %d: %w", len(lowers), MaxLowers, errdefs.ErrInvalidArgument)
	case len(lowers) == 0 && upper == "":
		return mount.Mount{}, fmt.Errorf("overlay nothing: no lowerdir and no upperdir: %w", errdefs.ErrInvalidArgument)
	case len(lowers) == 0:
		return mount.Mount{Type: "bind", Source: upper}, nil
	case len(lowers) == 1 && upper == "":
		return mount.Mount{Type: "bind", Source: lowers[0], ReadOnly: true}, nil
	case upper != "" && work == "":
		return mount.Mount{}, fmt.Errorf("overlay upperdir %q: no workdir: %w", upper, errdefs.ErrInvalidArgument)
	}
	m := mount.Mount{Type: "overlay", Source: "overlay", Method: o.Method, ReadOnly: upper == ""}
	m.Options = append(m.Options, mount.Option{Key: "lowerdir", Dirs: lowers})
	if upper != "" {
		m.Options = append(m.Options, mount.Option{Key: "upperdir", Dirs: []string{upper}}, mount.Option{Key: "workdir", Dirs: []string{work}})
	}
	for _, key := range []string{"redirect_dir", "metacopy", "index", "nfs_export", "xino"} {
		m.Options = append(m.Options, mount.Option{Key: key, Value: "off"})
	}
	if o.Volatile && upper != "" {
		m.Options = append(m.Options, mount.Option{Key: "volatile"})
	}
	return m, nil
}

// Under returns m with one more lowerdir, below all others, and whether it has room for it: m must be an overlay.
func Under(m mount.Mount, lowest string) (mount.Mount, bool) {
	i := slices.IndexFunc(m.Options, func(o mount.Option) bool { return o.Key == "lowerdir" })
	if m.Type != "overlay" || i < 0 || len(m.Options[i].Dirs) >= MaxLowers {
		return m, false
	}
	m.Options = slices.Clone(m.Options)
	m.Options[i].Dirs = append(slices.Clone(m.Options[i].Dirs), lowest)
	return m, true
}

// withoutRepeats returns dirs with the first of each.
func withoutRepeats(dirs []string) []string {
	seen := make(map[string]bool, len(dirs))
	kept := make([]string, 0, len(dirs))
	for _, dir := range dirs {
		if !seen[dir] {
			kept = append(kept, dir)
		}
		seen[dir] = true
	}
	return kept
}
