package unpack

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
	"github.com/lrun-dev/lrun/layer/needs"
)

// waiting is a hard link whose target was not there when its entry came: it is further down in the tar, or in a
// layer below. An empty file holds its place.
type waiting struct {
	path   string
	node   *node
	target string
}

// hardLink makes base another name of target. The metadata of such an entry are not used: they are those of the
// file, which its own entry describes, and writing them again would strip it of its capabilities.
func (u *unpacker) hardLink(base, rawTarget string) error {
	target, err := cleanName(rawTarget)
	if err == nil && target.base == "" {
		err = needs.Invalid("it is the root")
	}
	if err == nil {
		err = u.linkTo(base, target)
	}
	if errors.Is(err, unix.EEXIST) {
		// What is replaced may be a directory on the way to the target: look again.
		if err = u.clear(u.parents.top(), base); err == nil {
			err = u.linkTo(base, target)
		}
	}
	if err != nil {
		return fmt.Errorf("hard link to %q: %w", rawTarget, err)
	}
	return nil
}

// linkTo links base to target, or lets it wait for it.
func (u *unpacker) linkTo(base string, target name) error {
	found, err := u.targets.lookup(target.parent)
	if err != nil {
		return err
	}
	from, to := u.targets.top(), u.parents.top()
	n := from.node.child(target.base)
	switch {
	case found && n != nil && n.link != "":
		return u.wait(base, n.link, n.hidden) // a chain of links: all wait for the same file
	case !found, u.overlay() && !n.adds():
		return u.wait(base, target.path(), u.targets.hides(found, target.base))
	}
	st, err := inode.Stat(from.fd, target.base)
	switch {
	case errors.Is(err, unix.ENOENT):
		return u.wait(base, target.path(), false)
	case err != nil:
		return err
	case inode.IsType(st, unix.S_IFDIR):
		return needs.Invalid("it is a directory")
	}
	if from.node != to.node || target.base != base {
		if err := unix.Linkat(from.fd, target.base, to.fd, base, 0); err != nil {
			return err
		}
		u.noteBelow(to.node.put(base, &node{seq: u.seq}), n, path.Join(u.targets.path(), target.base))
	} else if n == nil {
		to.node.put(base, &node{seq: u.seq})
	}
	u.parents.added()
	return nil
}

// wait puts an empty file in the place of a hard link that cannot be made yet. hidden: the layers below have no such target.
func (u *unpacker) wait(base, target string, hidden bool) error {
	n, err := u.fresh(base, func(dir int) error {
		fd, err := inode.OpenAt(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	})
	if err != nil {
		return fmt.Errorf("hard link to %q: %w", target, err)
	}
	n.link, n.hidden = target, hidden
	u.links = append(u.links, waiting{path.Join(u.parents.path(), base), n, target})
	return nil
}

// finishLinks makes the links that waited. In a layer of its own it returns them for Settle, which knows whether
// the layers below have their targets.
func (u *unpacker) finishLinks() ([]needs.Link, error) {
	links := slices.DeleteFunc(u.links, func(w waiting) bool {
		return u.root.find(w.path) != w.node // replaced by a later entry
	})
	if u.overlay() {
		var left []needs.Link
		for _, w := range links {
			left = append(left, needs.Link{Name: w.path, Target: w.target, Hidden: w.node.hidden})
		}
		return left, nil
	}
	return nil, needs.InAnyOrder(links, func(w waiting) string { return w.path }, u.finishLink, func(w waiting) error { return needs.NoTarget(w.path, w.target) })
}

// finishLink makes one link, unless its target is not there yet: then it returns the link that it waits for, if it is one.
func (u *unpacker) finishLink(w waiting) (made bool, on string, err error) {
	if err := u.ctx.Err(); err != nil {
		return false, "", err
	}
	link, err := cleanName(w.path)
	if err != nil {
		return false, "", err
	}
	target, err := cleanName(w.target)
	if err != nil {
		return false, "", err
	}
	if _, err := u.parents.walk(link.parent, onlyLook); err != nil {
		return false, "", err
	}
	found, err := u.targets.walk(target.parent, onlyLook)
	var file needs.NotDir
	switch {
	case errors.As(err, &file):
		return false, u.waitsAt(file.Name), nil
	case err != nil || !found:
		return false, "", err
	}
	from, to := u.targets.top(), u.parents.top()
	name := path.Join(u.targets.path(), target.base)
	n := from.node.child(target.base)
	if n != nil && (n.link != "" || n.dir) {
		return false, u.waitsAt(name), nil
	}
	if _, err := inode.Stat(from.fd, target.base); errors.Is(err, unix.ENOENT) {
		return false, "", nil
	} else if err != nil {
		return false, "", err
	}
	if err := unix.Unlinkat(to.fd, link.base, 0); err != nil {
		return false, "", fmt.Errorf("hard link %q: %w", w.path, err)
	}
	if err := unix.Linkat(from.fd, target.base, to.fd, link.base, 0); err != nil {
		return false, "", fmt.Errorf("hard link %q to %q: %w", w.path, w.target, err)
	}
	w.node.link = ""
	u.noteBelow(w.node, n, name)
	return true, "", nil
}

// waitsAt returns name if a link waits there, else "".
func (u *unpacker) waitsAt(name string) string {
	if n := u.root.find(name); n != nil && n.link != "" {
		return name
	}
	return ""
}
