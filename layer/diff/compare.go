package diff

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
	"github.com/lrun-dev/lrun/layer/pack"
)

// comparer walks through a tree and its parent.
type comparer struct {
	ctx     context.Context
	overlay bool
	made    map[string]bool // and all directories above them
	items   []item
	links   linkTable
}

// directory is a directory that is there now.
type directory struct {
	path   string
	now    int  // its descriptor
	below  int  // descriptor of the parent's directory; -1: it has none
	hidden bool // what the parent has in it does not show
	marked bool // files in it may be whiteouts that are written as an xattr
}

// name is one name in a directory.
type name struct {
	pack.File
	in       directory
	was      pack.File // with a descriptor only where the parent has the directory
	has, had bool      // whether it is there, and was
}

// compare notes all that may be different, in the order of the walk.
func compare(ctx context.Context, s Source, o Options) ([]item, error) {
	c := &comparer{ctx: ctx, overlay: s.Overlay, made: map[string]bool{}, links: newLinkTable()}
	for _, m := range o.Made {
		for ; m != "." && m != ""; m = path.Dir(m) {
			c.made[m] = true
		}
	}
	if err := c.root(s); err != nil {
		return nil, err
	}
	c.links.settle()
	return c.items, nil
}

// root compares the roots and all in them.
func (c *comparer) root(s Source) error {
	n := name{File: pack.File{Dir: int(s.Dir.Fd()), Base: "."}, has: true}
	var err error
	if n.Stat, err = inode.Stat(n.Dir, n.Base); err != nil {
		return n.Wrap("stat", err)
	}
	if s.Parent == nil {
		return c.bareRoot(n)
	}
	n.had, n.in.below = true, int(s.Parent.Fd())
	n.was = pack.File{Dir: n.in.below, Base: "."}
	if n.was.Stat, err = inode.Stat(n.was.Dir, n.was.Base); err != nil {
		return n.Wrap("stat", err)
	}
	return c.both(n)
}

// bareRoot is root without a parent: then the root is one that nobody has described.
func (c *comparer) bareRoot(n name) error {
	xattrs, err := ownXattrs(n.File)
	if err != nil {
		return err
	}
	m := inode.Implied()
	plain := n.Stat.Mode&inode.Permissions == m.Mode && n.Stat.Uid == 0 && n.Stat.Gid == 0 && len(xattrs) == 0
	c.items = append(c.items, item{kind: Modified, dir: true, tar: !plain})
	if _, err := c.inside(n, -1, false); err != nil {
		return err
	}
	c.items[0].tar = c.items[0].tar || len(chosen(c.items, item.forTar)) > 0
	return nil
}

// inside compares what is in the directory n, whose counterpart is below. made tells that something of Options.Made is
// in it.
func (c *comparer) inside(n name, below int, hidden bool) (made bool, err error) {
	fd, err := inode.OpenDir(n.Dir, n.Base)
	if err != nil {
		return false, n.Wrap("open", pack.IgnoreMissing(err))
	}
	defer unix.Close(fd)
	d := directory{path: n.Path, now: fd, below: below, hidden: hidden}
	if c.overlay {
		if d.marked, err = isMarked(fd); err != nil {
			return false, n.Wrap("read xattrs of", err)
		}
	}
	names, err := c.names(d)
	if err != nil {
		return false, n.Wrap("read", err)
	}
	for _, base := range names {
		if err := c.ctx.Err(); err != nil {
			return made, err
		}
		isMade, err := c.name(d, base)
		if err != nil {
			return made, err
		}
		made = made || isMade
	}
	return made, nil
}

// names lists what is in d now and, where that cannot be seen there, what was in it.
func (c *comparer) names(d directory) ([]string, error) {
	names, err := inode.Names(d.now)
	if err != nil || d.below < 0 || c.overlay && !d.hidden {
		return names, err
	}
	was, err := inode.Names(d.below)
	names = append(names, was...)
	slices.Sort(names)
	return slices.Compact(names), err
}

// name compares one name. made is that of inside.
func (c *comparer) name(d directory, base string) (made bool, err error) {
	n := name{File: pack.File{Path: path.Join(d.path, base), Dir: d.now, Base: base}, in: d}
	n.was = pack.File{Path: n.Path, Dir: d.below, Base: base}
	if n.has, err = c.stat(&n.File); err != nil {
		return false, err
	}
	if n.has && c.overlay {
		white, err := isWhiteout(n.File, d.marked)
		if err != nil {
			return false, err
		}
		n.has = !white
	}
	if d.below >= 0 {
		if n.had, err = c.stat(&n.was); err != nil {
			return false, err
		}
	}
	switch {
	case n.has && n.had:
		return false, c.both(n)
	case n.has:
		return c.added(n)
	case n.had:
		c.items = append(c.items, item{path: n.Path, kind: Deleted, tar: !d.hidden, list: true})
	}
	return false, nil
}

// stat fills in the status of f, and tells whether it is there.
func (c *comparer) stat(f *pack.File) (bool, error) {
	var err error
	f.Stat, err = inode.Stat(f.Dir, f.Base)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil, f.Wrap("stat", err)
}

// added notes a name that the parent does not have, and all in it.
func (c *comparer) added(n name) (made bool, err error) {
	made = c.made[n.Path] && (n.IsDir() || inode.IsType(n.Stat, unix.S_IFREG) && n.Stat.Size == 0)
	if made && !n.IsDir() {
		return true, nil
	}
	it := item{path: n.Path, kind: Added, dir: n.IsDir(), tar: !made, list: !made}
	if !n.IsDir() && n.Stat.Nlink > 1 {
		it.links = c.links.add(n, false)
	}
	c.items = append(c.items, it)
	if n.IsDir() {
		_, err = c.inside(n, -1, false)
	}
	return made, err
}

// both compares a name that is in both trees.
func (c *comparer) both(n name) error {
	if n.IsDir() && n.was.IsDir() {
		return c.bothDirs(n)
	}
	same := !n.IsDir() && !n.was.IsDir()
	if same {
		var err error
		if same, err = sameFile(c.ctx, n.File, n.was); err != nil {
			return err
		}
	}
	it := item{path: n.Path, kind: Modified, dir: n.IsDir(), tar: !same || n.in.hidden, list: !same, below: true}
	if !n.IsDir() && (n.Stat.Nlink > 1 || same && n.was.Stat.Nlink > 1) {
		it.links = c.links.add(n, same)
		// Which other names the parent's file has, and whether they are still there, an upperdir does not say.
		it.tar = it.tar || c.overlay
	}
	if it.tar || it.links != nil {
		c.items = append(c.items, it)
	}
	if n.IsDir() {
		_, err := c.inside(n, -1, false)
		return err
	}
	return nil
}

// bothDirs compares a directory that is in both trees, and all in it.
func (c *comparer) bothDirs(n name) error {
	same, err := sameDirectory(n.File, n.was)
	if err != nil {
		return err
	}
	below, err := inode.OpenDir(n.was.Dir, n.was.Base)
	if err != nil {
		return n.Wrap("open", err)
	}
	defer unix.Close(below)
	opaque, err := isOpaque(n.File, below, c.overlay)
	if err != nil {
		return err
	}
	at := len(c.items)
	c.items = append(c.items, item{
		path: n.Path, kind: Modified, dir: true, below: true,
		tar: !same || opaque || n.in.hidden, list: !same && n.Path != "", opaque: opaque && !n.in.hidden,
	})
	made, err := c.inside(n, below, opaque || n.in.hidden)
	if err != nil {
		return err
	}
	if it := &c.items[at]; n.Stat.Mtim != n.was.Stat.Mtim && !made {
		it.tar = true
	}
	if len(c.items) == at+1 && !c.items[at].tar && !c.items[at].list {
		c.items = c.items[:at] // nothing depends on it
	}
	return nil
}

// ownXattrs returns the xattrs of a file that are part of an image.
func ownXattrs(f pack.File) (map[string]string, error) {
	xattrs, err := f.Xattrs()
	maps.DeleteFunc(xattrs, func(name, _ string) bool { return inode.IsForeignXattr(name) })
	return xattrs, err
}

// unusable is the error for an upperdir that is no diff.
func unusable(f pack.File, what string) error {
	return fmt.Errorf("%q: overlayfs was mounted with %s on, so what was changed is not all in this upperdir: %w", "/"+f.Path, what, errdefs.ErrFailedPrecondition)
}
