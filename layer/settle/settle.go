// Package settle joins a layer that was unpacked alone to the layers below it. It is the inside of layer.Settle, which
// says what is promised.
package settle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
	"github.com/lrun-dev/lrun/layer/manifest"
	"github.com/lrun-dev/lrun/layer/needs"
)

// Settle joins the layer in dir to parents, nil if there are none.
func Settle(ctx context.Context, dir *os.File, n needs.Needs, parents *os.File) error {
	defer runtime.KeepAlive(parents)
	defer runtime.KeepAlive(dir)
	return newSettler(ctx, dir, n, parents).settle(n)
}

func newSettler(ctx context.Context, dir *os.File, n needs.Needs, parents *os.File) *settler {
	return &settler{
		ctx: ctx, dir: dir, parents: parents, opaque: n.Opaque, notes: newNotes(n), sums: n.Sums,
		waiting: map[string]bool{}, copies: map[inode.ID]string{},
	}
}

// settle does all steps.
func (s *settler) settle(n needs.Needs) error {
	for _, step := range []func(needs.Needs) error{s.usedEarly, s.links, s.directories, s.removals, s.root} {
		if err := step(n); err != nil {
			return fmt.Errorf("settle layer: %w", err)
		}
	}
	return nil
}

// settler is one Settle. Its names are real names in the layer, "" for the root.
type settler struct {
	ctx          context.Context
	dir, parents *os.File
	opaque       bool
	notes        *notes
	waiting      map[string]bool     // names of hard links not made yet
	linking      needs.Link          // the hard link whose target is looked up
	copies       map[inode.ID]string // files below that have a copy in the layer under another name
	sums         *manifest.Sums
}

// usedEarly refuses a layer in which entries went through a link below before another replaced or removed it.
func (s *settler) usedEarly(n needs.Needs) error {
	for _, p := range n.Parents {
		above, err := s.resolve(parentOf(p.Name), true)
		if err != nil {
			return err
		}
		switch found, err := peek(s.parents, path.Join(above, path.Base(p.Name))); {
		case err != nil:
			return err
		case found == link:
			return needs.UsedLink(p.Name)
		case found == file && p.Adds:
			return needs.NotDir{Name: p.Name}
		}
	}
	return nil
}

// directories settles the implied directories, parents first. A move changes the names of those that are left.
func (s *settler) directories(needs.Needs) error {
	for name, ok := s.notes.first(); ok; name, ok = s.notes.first() {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		moved, err := s.directory(name)
		if err != nil {
			return fmt.Errorf("directory %q: %w", name, err)
		}
		if !moved { // else what is there by now may be another one
			s.notes.settled(name)
		}
	}
	return nil
}

func (s *settler) directory(name string) (moved bool, err error) {
	if own, err := peek(s.dir, name); err != nil || own != directory {
		return false, err // it went with a directory above
	}
	found, err := s.below(name)
	if err != nil {
		return false, err
	}
	if found == directory {
		return false, s.describe(name)
	}
	to := ""
	if found == link {
		if to, found, err = s.destination(name); err != nil {
			return false, err
		}
		if found == directory {
			return true, s.merge(name, to)
		}
	}
	switch adds, err := s.adds(name); {
	case err != nil:
		return false, err
	case !adds:
		return false, s.drop(name)
	case found == file:
		return false, needs.NotDir{Name: name}
	case to != "":
		return true, s.merge(name, to)
	}
	return false, nil
}

// destination returns where the link that name is below leads to and what is there.
func (s *settler) destination(name string) (string, presence, error) {
	to, err := s.resolve(name, true)
	if err != nil {
		return "", absent, err
	}
	found, err := peek(s.dir, to)
	if err == nil && found == absent {
		found, err = s.below(to)
	}
	if found == whiteout {
		found = absent
	}
	return to, found, err
}

// adds reports whether a directory of the layer holds anything but whiteouts and directories that hold only such.
func (s *settler) adds(name string) (bool, error) {
	fd, err := beneath(s.dir, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return false, err
	}
	return s.addsIn(fd, name)
}

// addsIn is adds for the directory name that is open as fd, and closes it.
func (s *settler) addsIn(fd int, name string) (bool, error) {
	defer unix.Close(fd)
	names, err := inode.Names(fd)
	if err != nil {
		return false, err
	}
	for _, base := range names {
		st, err := inode.Stat(fd, base)
		if err != nil {
			return false, err
		}
		child := path.Join(name, base)
		switch {
		case isWhiteout(st):
			continue
		case !inode.IsType(st, unix.S_IFDIR), !s.notes.implied(child):
			return true, nil
		}
		sub, err := inode.OpenDir(fd, base)
		if err != nil {
			return false, err
		}
		if adds, err := s.addsIn(sub, child); err != nil || adds {
			return adds, err
		}
	}
	return false, nil
}

// drop removes name from the layer.
func (s *settler) drop(name string) error {
	return s.in(parentOf(name), func(parent int) error { return inode.RemoveTree(parent, path.Base(name)) })
}

// in opens a directory of the layer for a change of its entries that leaves its time as it is.
func (s *settler) in(name string, do func(fd int) error) error {
	fd, err := beneath(s.dir, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return fmt.Errorf("open %q: %w", name, err)
	}
	defer unix.Close(fd)
	return inode.KeepTime(fd, func() error { return do(fd) })
}

// describe gives a directory of the layer the metadata of the one below.
func (s *settler) describe(name string) error {
	from, err := beneath(s.parents, name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	m, err := inode.Read(from)
	if err != nil {
		return err
	}
	to, err := beneath(s.dir, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(to)
	return m.Write(inode.File{Dir: to, Name: "."})
}

// makeDirs makes name and its parents in the layer where they are missing, like those below where there are any.
func (s *settler) makeDirs(name string) error {
	if name == "" {
		return nil
	}
	if err := s.makeDirs(parentOf(name)); err != nil {
		return err
	}
	own, err := peek(s.dir, name)
	if err != nil || own == directory {
		return err
	}
	found, err := s.below(name)
	switch {
	case err != nil:
		return err
	case own == file, own == link, own == absent && (found == file || found == link):
		return needs.NotDir{Name: name}
	}
	err = s.in(parentOf(name), func(parent int) error { return makeDirOver(parent, path.Base(name), own == whiteout) })
	if err != nil || own == whiteout || found != directory {
		return err
	}
	return s.describe(name)
}

func makeDirOver(parent int, base string, whiteout bool) error {
	if whiteout {
		if err := unix.Unlinkat(parent, base, 0); err != nil {
			return err
		}
	}
	if err := unix.Mkdirat(parent, base, 0o700); err != nil {
		return err
	}
	if err := inode.Implied().Write(inode.File{Dir: parent, Name: base}); err != nil || !whiteout {
		return err
	}
	return makeOpaque(parent, base)
}

// removals removes the whiteouts that have nothing below them.
func (s *settler) removals(needs.Needs) error {
	for _, name := range s.notes.withWhiteouts() {
		if own, err := peek(s.dir, name); err != nil || own != directory {
			continue // removed for having nothing else
		}
		found, err := s.below(name)
		if err != nil {
			return err
		}
		if found == directory {
			continue
		}
		if err := s.in(name, removeWhiteouts); err != nil {
			return fmt.Errorf("whiteouts of %q: %w", name, err)
		}
	}
	return nil
}

func removeWhiteouts(dir int) error {
	names, err := inode.Names(dir)
	if err != nil {
		return err
	}
	for _, base := range names {
		st, err := inode.Stat(dir, base)
		if err == nil && isWhiteout(st) {
			err = unix.Unlinkat(dir, base, 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// root settles the root itself.
func (s *settler) root(n needs.Needs) error {
	if s.parents == nil {
		return nil
	}
	if n.Opaque {
		if err := s.in("", s.hideAll); err != nil {
			return err
		}
	}
	if n.Root {
		return s.describe("")
	}
	return nil
}

// hideAll puts a whiteout for every name of the parents' root that the layer does not have.
func (s *settler) hideAll(root int) error {
	names, err := inode.Names(int(s.parents.Fd()))
	if err != nil {
		return err
	}
	for _, base := range names {
		if found, err := s.visible(base); err != nil {
			return err
		} else if !found {
			continue
		}
		if err := unix.Mknodat(root, base, unix.S_IFCHR, 0); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("whiteout %q: %w", base, err)
		}
	}
	return nil
}

func (s *settler) visible(base string) (bool, error) {
	found, err := peek(s.parents, base)
	return found != absent && found != whiteout, err
}

func makeOpaque(at int, base string) error {
	fd, err := inode.OpenDir(at, base)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fsetxattr(fd, opaqueXattr, []byte("y"), 0)
}
