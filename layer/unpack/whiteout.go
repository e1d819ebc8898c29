package unpack

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
	"github.com/lrun-dev/lrun/layer/needs"
)

// remove carries out a whiteout or an opaque marker.
func (u *unpacker) remove(n name) error {
	found, err := u.parents.walk(n.parent, toRemove)
	if errors.As(err, new(needs.NotDir)) {
		return nil // below a file there is nothing to remove
	}
	if err != nil || !found {
		return err
	}
	if n.purpose == isolates {
		return u.isolate(u.parents.top())
	}
	return u.whiteout(u.parents.top(), n.base)
}

func (u *unpacker) whiteout(parent *frame, base string) error {
	child := parent.node.child(base)
	switch {
	case child == nil, child.dir && !child.adds():
		return u.hide(parent, base)
	case child.dir:
		return u.sever(parent, base, child)
	}
	return nil // of this layer, or hidden already
}

// hide removes what the parents have by the name base, where this layer adds nothing.
func (u *unpacker) hide(parent *frame, base string) error {
	if err := u.clear(parent, base); err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	parent.node.put(base, &node{whiteout: true})
	if !u.overlay() {
		return nil
	}
	return withFile(parent.fd, func(dir *os.File) error { return u.whiteouts.Whiteout(dir, base) })
}

// sever keeps of the directory base only what this layer adds: the directory of this name below is another one.
func (u *unpacker) sever(parent *frame, base string, child *node) error {
	if child.severed {
		return nil
	}
	if err := u.decide(parent.node, base, true); err != nil {
		return err
	}
	child.severed = true
	if u.overlay() {
		child.opaque = true
		return u.markOpaque(parent.fd, base)
	}
	fd, err := inode.OpenDir(parent.fd, base)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return u.strip(fd, child)
}

func (u *unpacker) markOpaque(at int, base string) error {
	fd, err := inode.OpenDir(at, base)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return withFile(fd, u.whiteouts.Opaque)
}

// isolate hides all that the parents have in a directory; the directory stays.
func (u *unpacker) isolate(dir *frame) error {
	if dir.node.opaque {
		return nil
	}
	if err := u.decideAll(dir.node); err != nil {
		return err
	}
	if u.overlay() {
		dir.node.opaque = true
		return withFile(dir.fd, u.whiteouts.Opaque)
	}
	return u.stripEntries(dir.fd, dir.node)
}

// strip removes from a directory that was severed what this layer does not add, and its old metadata.
func (u *unpacker) strip(fd int, n *node) error {
	if err := u.stripEntries(fd, n); err != nil {
		return err
	}
	if n.named() {
		return nil
	}
	i := inode.File{Dir: fd, Name: "."}
	if err := i.DropXattrs(); err != nil {
		return err
	}
	n.setTime(inode.Implied().Mtime)
	return inode.Implied().WriteExceptTime(i)
}

// stripEntries removes from a directory what this layer does not add. It does so once for each directory.
func (u *unpacker) stripEntries(fd int, n *node) error {
	if n.opaque {
		return nil
	}
	n.opaque = true
	names, err := inode.Names(fd)
	if err != nil {
		return err
	}
	u.gone()
	for _, base := range names {
		child := n.child(base)
		switch {
		case child == nil, child.dir && !child.adds():
			delete(n.children, base)
			if err := inode.RemoveTree(fd, base); err != nil {
				return fmt.Errorf("remove %q: %w", base, err)
			}
		case child.dir:
			if err := u.stripChild(fd, base, child); err != nil {
				return err
			}
		}
	}
	return nil
}

func (u *unpacker) stripChild(at int, base string, child *node) error {
	fd, err := inode.OpenDir(at, base)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return u.strip(fd, child)
}

// withFile lends fd as an *os.File, which Whiteouts wants.
func withFile(fd int, do func(*os.File) error) error {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(own), "layer directory")
	defer f.Close()
	return do(f)
}
