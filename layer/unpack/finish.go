package unpack

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
	"github.com/lrun-dev/lrun/layer/needs"
)

// finish does what must wait for the last entry: links that wait, whiteouts that turned out to be useless, and the
// times of directories. It returns what the layer leaves to Settle.
func (u *unpacker) finish() (needs.Needs, error) {
	f := finisher{u: u}
	links, err := u.finishLinks()
	if err != nil {
		return needs.Needs{}, err
	}
	root := &u.parents.frames[0]
	if err := f.directory(root.fd, "", u.root, false); err != nil {
		return needs.Needs{}, fmt.Errorf("finish directories: %w", err)
	}
	if err := inode.SetTime(root.fd, ".", u.root.mtime); err != nil {
		return needs.Needs{}, fmt.Errorf("set times of the root: %w", err)
	}
	if !u.overlay() {
		return needs.Needs{}, nil
	}
	f.needs.Links, f.needs.Parents, f.needs.Opaque, f.needs.Root, f.needs.Sums = links, u.early, u.root.opaque, !u.root.named(), u.sums
	if len(f.needs.ImpliedDirs) > 0 || len(links) > 0 {
		f.needs.Order = map[string]int{}
		u.root.order("", f.needs.Order)
	}
	return f.needs, nil
}

type finisher struct {
	u     *unpacker
	needs needs.Needs
}

// directory finishes what is in a directory. alone: nothing of the layers below is left in it, because it or a
// directory above it is opaque.
func (f *finisher) directory(fd int, name string, n *node, alone bool) error {
	alone = alone || n.opaque
	whiteouts := false
	for _, base := range slices.Sorted(maps.Keys(n.children)) {
		child := n.child(base)
		var err error
		switch {
		case child.dir:
			err = f.child(fd, name, base, n, alone)
		case child.whiteout && !f.u.overlay():
		case child.whiteout && alone:
			// There is nothing to hide, and a whiteout with no directory below shows as a broken name.
			err = unix.Unlinkat(fd, base, 0)
		case child.whiteout:
			whiteouts = true
		}
		if err != nil {
			return fmt.Errorf("%q: %w", path.Join(name, base), err)
		}
	}
	if whiteouts {
		f.needs.Whiteouts = append(f.needs.Whiteouts, path.Join(".", name))
	}
	return nil
}

func (f *finisher) child(at int, parent, base string, n *node, alone bool) error {
	child := n.child(base)
	name := path.Join(parent, base)
	overlay := f.u.overlay()
	if overlay && alone && !child.adds() {
		// Implied by nothing but removals of what is hidden anyway.
		return inode.RemoveTree(at, base)
	}
	if overlay && !alone && !child.named() && !child.severed {
		f.needs.ImpliedDirs = append(f.needs.ImpliedDirs, name)
	}
	fd, err := inode.OpenDir(at, base)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if overlay && parent == "" && f.u.root.opaque && !child.opaque {
		// The kernel does not look at the marker of a layer's root.
		if err := withFile(fd, func(d *os.File) error { return f.u.whiteouts.Opaque(d) }); err != nil {
			return err
		}
	}
	err = f.directory(fd, name, child, alone)
	if child.timed {
		err = errors.Join(err, inode.SetTime(fd, ".", child.mtime))
	}
	return err
}
