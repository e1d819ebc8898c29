package settle

import (
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
	"github.com/lrun-dev/lrun/layer/needs"
)

// aside is where a directory waits while it is merged. No layer has this name: unpack skips all that begin so.
const aside = ".wh..wh.aside"

// merge moves what the layer has in the directory from into to: below, from is a link that leads there. The names
// are joined; where both have one, the entry that came later in the tar wins, as if it had been unpacked in place.
func (s *settler) merge(from, to string) error {
	if err := s.fits(from, to); err != nil {
		return err
	}
	if err := s.makeDirs(to); err != nil {
		return err
	}
	// The link may lead to where it lies itself, and what is merged may be meant for its very name.
	if err := s.setAside(from); err != nil {
		return err
	}
	if err := s.mergeInto(aside, to); err != nil {
		return fmt.Errorf("move to %q, where the layers below have it: %w", to, err)
	}
	return nil
}

// fits holds the directories in from to the limits that they have where they go, as unpack does in the tree of the parents.
func (s *settler) fits(from, to string) error {
	if len(to) > needs.MaxName || strings.Count(to, "/") >= needs.MaxDepth {
		return needs.Invalid("%q leads to a name that is longer than %d bytes or deeper than %d directories", from, needs.MaxName, needs.MaxDepth)
	}
	fd, err := beneath(s.dir, from, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	names, err := inode.Names(fd)
	for _, base := range names {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if st, err := inode.Stat(fd, base); err != nil {
			return err
		} else if !inode.IsType(st, unix.S_IFDIR) {
			continue
		}
		if err := s.fits(path.Join(from, base), path.Join(to, base)); err != nil {
			return err
		}
	}
	return err
}

func (s *settler) setAside(name string) error {
	err := s.in(parentOf(name), func(parent int) error {
		return s.in("", func(root int) error { return unix.Renameat(parent, path.Base(name), root, aside) })
	})
	if err != nil {
		return err
	}
	s.notes.move(name, aside)
	return nil
}

func (s *settler) mergeInto(from, to string) error {
	err := s.in(to, func(dst int) error {
		return s.in(from, func(src int) error {
			names, err := inode.Names(src)
			if err != nil {
				return err
			}
			for _, base := range names {
				if err := s.mergeEntry(entry{src, path.Join(from, base), base}, entry{dst, path.Join(to, base), base}); err != nil {
					return err
				}
			}
			if isOpaque(src) {
				return makeOpaque(dst, ".")
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	s.notes.merged(from, to)
	return s.drop(from)
}

// entry is one name of the layer: an entry of an open directory, and its whole name.
type entry struct {
	dir  int
	name string
	base string
}

func (s *settler) mergeEntry(from, to entry) error {
	src, err := peek(s.dir, from.name)
	if err != nil {
		return err
	}
	dst, err := peek(s.dir, to.name)
	if err != nil {
		return err
	}
	if src == directory != (dst == directory) && dst != absent {
		// A directory that only removals imply is no match for anything else.
		if src, err = s.orNothing(from, src); err != nil || src == absent {
			return err
		}
		if dst, err = s.orNothing(to, dst); err != nil {
			return err
		}
	}
	switch {
	case dst == absent:
		return s.move(from, to, src, false)
	case src == directory && dst == directory:
		return s.mergeDirs(from, to)
	case src == whiteout || dst != whiteout && !s.notes.later(from.name, to.name):
		return s.keep(from, to, dst)
	}
	if err := inode.RemoveTree(to.dir, to.base); err != nil {
		return err
	}
	return s.move(from, to, src, true)
}

// orNothing removes a directory that is only implied and in which the layer adds nothing.
func (s *settler) orNothing(e entry, what presence) (presence, error) {
	if what != directory || !s.notes.implied(e.name) {
		return what, nil
	}
	if adds, err := s.adds(e.name); err != nil || adds {
		return what, err
	}
	return absent, inode.RemoveTree(e.dir, e.base)
}

// move takes from to where to was or is not. severed: there was something of this layer.
func (s *settler) move(from, to entry, what presence, severed bool) error {
	if err := unix.Renameat(from.dir, from.base, to.dir, to.base); err != nil {
		return err
	}
	if what != directory {
		s.notes.moveFile(from.name, to.name)
		return nil
	}
	if severed {
		s.notes.settled(from.name)
	}
	s.notes.move(from.name, to.name)
	s.notes.arrived(to.name)
	if severed {
		return makeOpaque(to.dir, to.base)
	}
	return nil
}

// keep drops from, because to is what counts; if that is a directory, it is another one than the one below.
func (s *settler) keep(from, to entry, what presence) error {
	if err := inode.RemoveTree(from.dir, from.base); err != nil || what != directory {
		return err
	}
	s.notes.settled(to.name)
	return makeOpaque(to.dir, to.base)
}

// mergeDirs joins two directories. The later of two descriptions counts, and any counts more than none.
func (s *settler) mergeDirs(from, to entry) error {
	described := !s.notes.implied(from.name)
	if described && (s.notes.implied(to.name) || s.notes.later(from.name, to.name)) {
		if err := copyMetadata(from, to); err != nil {
			return err
		}
		s.notes.settled(to.name)
	}
	return s.mergeInto(from.name, to.name)
}

func copyMetadata(from, to entry) error {
	fd, err := inode.OpenPath(from.dir, from.base)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	m, err := inode.Read(fd)
	if err != nil {
		return err
	}
	i := inode.File{Dir: to.dir, Name: to.base}
	if err := i.DropXattrs(); err != nil {
		return err
	}
	return m.Write(i)
}
