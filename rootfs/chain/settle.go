package chain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/layer"
)

// settleAll goes through the steps from the bottom and settles what the unpacked layers left open because
// only the layers below can tell: see layer.Needs. A layer that was to share another's bytes and
// cannot, because the root directories that they take over differ, is unpacked after all.
func (u *session) settleAll(ctx context.Context) error {
	for _, st := range u.plan.steps {
		alike, err := u.rootsAlike(ctx, st)
		if err != nil {
			return err
		}
		if !alike {
			st.donor, st.like = "", nil
			if err := u.unpackEach(ctx, []*step{st}); err != nil {
				return err
			}
		}
		if st.tree == nil || st.tree.applied.Needs.Empty() && !st.tree.applied.Needs.Root {
			continue
		}
		if err := u.settle(ctx, st); err != nil {
			return fmt.Errorf("settle %s on the layers below: %w", st, err)
		}
	}
	return nil
}

// settle joins the unpacked layer of st to the layers below it, which are settled.
func (u *session) settle(ctx context.Context, st *step) (err error) {
	dirs, err := u.lowerDirs(ctx, st.parent)
	if err != nil {
		return err
	}
	needs := st.tree.applied.Needs
	if needs.Empty() && len(dirs) > 1 {
		dirs = dirs[:1] // only the root's metadata: the nearest layer has them
	}
	var parents *os.File
	if len(dirs) > 0 {
		if parents, err = OpenMerged(dirs); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, parents.Close()) }()
	}
	dir, err := os.Open(st.tree.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	return layer.Settle(ctx, dir, needs, parents)
}

// rootsAlike tells whether the bytes that st is to share fit: when the layer does not name its root
// directory, it has taken over the root of the layers below, and here that must be the same.
func (u *session) rootsAlike(ctx context.Context, st *step) (bool, error) {
	var shared string
	switch {
	case st.like != nil:
		if !st.like.tree.applied.Needs.Root {
			return true, nil
		}
		shared = st.like.tree.dir
	case st.donor != "":
		info, err := u.snapshots.Stat(ctx, st.donor)
		if err != nil || info.Labels[LabelRoot] == "" {
			return true, err
		}
		if shared, err = u.snapshots.Path(ctx, st.donor); err != nil {
			return false, err
		}
	default:
		return true, nil
	}
	dirs, err := u.lowerDirs(ctx, st.parent)
	if err != nil || len(dirs) == 0 {
		return false, err
	}
	return sameMetadata(shared, dirs[0])
}

// lowerDirs returns the directories of chain and all below it, nearest first: those of the plan's trees,
// and below them those of committed snapshots.
func (u *session) lowerDirs(ctx context.Context, chain string) ([]string, error) {
	var dirs []string
	for st := u.plan.index[chain]; st != nil; st = u.plan.index[chain] {
		chain = st.parent
		switch {
		case st.donor != "":
			dir, err := u.snapshots.Path(ctx, st.donor)
			if err != nil {
				return nil, err
			}
			dirs = append(dirs, dir)
		case st.like != nil:
			dirs = append(dirs, st.like.tree.dir)
		default:
			dirs = append(dirs, st.tree.dir)
		}
	}
	if chain == "" {
		return dirs, nil
	}
	below, err := u.Dirs(ctx, chain)
	return append(dirs, below...), err
}

// sameMetadata tells whether two directories have the same mode, owner, time and xattrs, overlayfs's own left out.
func sameMetadata(a, b string) (bool, error) {
	var stats [2]unix.Stat_t
	var attributes [2]map[string]string
	for i, path := range []string{a, b} {
		err := unix.Lstat(path, &stats[i])
		if err == nil {
			attributes[i], err = xattrs(path)
		}
		if err != nil {
			return false, &os.PathError{Op: "compare", Path: path, Err: err}
		}
	}
	x, y := stats[0], stats[1]
	return x.Mode == y.Mode && x.Uid == y.Uid && x.Gid == y.Gid && x.Mtim == y.Mtim && maps.Equal(attributes[0], attributes[1]), nil
}

// xattrs reads the extended attributes of a directory.
func xattrs(path string) (map[string]string, error) {
	const limit = 64 << 10 // of the kernel, for the list and for each value
	list := make([]byte, limit)
	n, err := unix.Llistxattr(path, list)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	value := make([]byte, limit)
	for name := range strings.SplitSeq(string(list[:n]), "\x00") {
		if name == "" || strings.HasPrefix(name, "trusted.overlay.") {
			continue
		}
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return nil, err
		}
		found[name] = string(value[:n])
	}
	return found, nil
}
