package layer

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"
)

// finish does what must wait for the last entry: links that wait, whiteouts that turned out to be useless, and the
// times of directories. It returns what the layer leaves to Settle.
func (u *unpacker) finish() (Needs, error) {
	f := finisher{u: u}
	links, err := u.finishLinks()
	if err != nil {
		return Needs{}, err
	}
	root := &u.parents.frames[0]
	if err := f.directory(root.fd, "", u.root, false); err != nil {
		return Needs{}, fmt.Errorf("finish directories: %w", err)
	}
	if err := setTime(root.fd, ".", u.root.mtime); err != nil {
		return Needs{}, fmt.Errorf("set times of the root: %w", err)
	}
	if !u.overlay() {
		return Needs{}, nil
	}
	f.needs.Links, f.needs.Opaque, f.needs.Root, f.needs.tree = links, u.root.opaque, !u.root.named(), u.root
	return f.needs, nil
}

type finisher struct {
	u     *unpacker
	needs Needs
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
		return removeTree(at, base)
	}
	if overlay && !alone && !child.named() && !child.severed {
		f.needs.ImpliedDirs = append(f.needs.ImpliedDirs, name)
	}
	fd, err := openDir(at, base)
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
		err = errors.Join(err, setTime(fd, ".", child.mtime))
	}
	return err
}
