package chain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"

	"github.com/lrun-dev/lrun/internal/inode"
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

// sameMetadata tells whether two directories have the same mode, owner, time and xattrs, as far as a layer takes them over.
func sameMetadata(a, b string) (bool, error) {
	var found [2]inode.Metadata
	for i, path := range []string{a, b} {
		dir, err := os.Open(path)
		if err != nil {
			return false, err
		}
		found[i], err = inode.Read(int(dir.Fd()))
		if err = errors.Join(err, dir.Close()); err != nil {
			return false, fmt.Errorf("compare %q: %w", path, err)
		}
	}
	x, y := found[0], found[1]
	return x.Mode == y.Mode && x.UID == y.UID && x.GID == y.GID && x.Mtime == y.Mtime && maps.Equal(x.Xattrs, y.Xattrs), nil
}
