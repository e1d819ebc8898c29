package settle

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
	"github.com/lrun-dev/lrun/layer/needs"
)

// links makes the hard links that wait. It comes first, while the names are those that the tar had.
func (s *settler) links(n needs.Needs) error {
	for _, l := range n.Links {
		s.waiting[l.Name] = true
	}
	return needs.InAnyOrder(n.Links, func(l needs.Link) string { return l.Name }, s.link, func(l needs.Link) error { return needs.NoTarget(l.Name, l.Target) })
}

// link makes one hard link, unless there is no target, or none yet: then it returns the link that it waits for, if it
// is one.
func (s *settler) link(l needs.Link) (made bool, on string, err error) {
	if err := s.ctx.Err(); err != nil {
		return false, "", err
	}
	s.linking = l
	target, err := s.resolve(l.Target, false)
	s.linking = needs.Link{}
	if err != nil {
		return false, "", fmt.Errorf("hard link %q: %w", l.Name, err)
	}
	made, err = s.linkTo(l, target)
	if err != nil {
		return false, "", fmt.Errorf("hard link %q to %q: %w", l.Name, l.Target, err)
	}
	if !made {
		return false, s.waitsFor(target), nil
	}
	delete(s.waiting, l.Name)
	return true, "", nil
}

// waitsFor returns the link that waits at target or, holding the place of a directory, on the way there; "" if none does.
func (s *settler) waitsFor(target string) string {
	for end := 0; end < len(target); end++ {
		if next := strings.IndexByte(target[end:], '/'); next < 0 {
			end = len(target)
		} else {
			end += next
		}
		if s.waiting[target[:end]] {
			return target[:end]
		}
	}
	return ""
}

func (s *settler) linkTo(l needs.Link, target string) (bool, error) {
	name := l.Name
	own, err := peek(s.dir, target)
	if err != nil {
		return false, err
	}
	found, err := s.targetBelow(l, target)
	if err != nil {
		return false, err
	}
	mine := (own == file || own == link) && !s.waiting[target]
	switch {
	// The link meant what was there when its entry came: a later entry of the layer is only the second choice.
	case mine && (found == absent || s.notes.later(name, target)):
		return true, s.replace(name, func(dir int, base string) error { return s.linkat(target, dir, base) })
	case found == absent:
		return false, nil
	case found == directory:
		return false, needs.Invalid("it is a directory")
	}
	hidden, err := s.hidden(target)
	if err != nil {
		return false, err
	}
	if hidden || own != absent {
		return true, s.copyApart(name, target)
	}
	if err := s.copyUp(target); err != nil {
		return false, err
	}
	return true, s.replace(name, func(dir int, base string) error { return s.linkat(target, dir, base) })
}

// targetBelow tells what target was below when the entry of l came: nothing, if the layer had hidden it by then.
func (s *settler) targetBelow(l needs.Link, target string) (presence, error) {
	if l.Hidden {
		return absent, nil
	}
	found, err := peek(s.parents, target)
	if found == whiteout {
		found = absent
	}
	return found, err
}

// replace puts what do makes in the place that was held for a hard link.
func (s *settler) replace(name string, do func(dir int, base string) error) error {
	return s.in(parentOf(name), func(dir int) error {
		if err := unix.Unlinkat(dir, path.Base(name), 0); err != nil {
			return err
		}
		return do(dir, path.Base(name))
	})
}

func (s *settler) linkat(target string, dir int, base string) error {
	from, err := beneath(s.dir, parentOf(target), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	return unix.Linkat(from, path.Base(target), dir, base, 0)
}

// copyUp makes the file target of the layers below part of the layer, by the same name.
func (s *settler) copyUp(target string) error {
	if err := s.makeDirs(parentOf(target)); err != nil {
		return err
	}
	return s.in(parentOf(target), func(dir int) error { return s.copyFile(target, dir, path.Base(target)) })
}

// copyApart makes name a copy of the file target below, whose own name this layer hides or uses for something else.
func (s *settler) copyApart(name, target string) error {
	id, err := s.identify(target)
	if err != nil {
		return err
	}
	return s.replace(name, func(dir int, base string) error {
		if first, ok := s.copies[id]; ok {
			return s.linkat(first, dir, base)
		}
		s.copies[id] = name
		return s.copyFile(target, dir, base)
	})
}

func (s *settler) identify(target string) (inode.ID, error) {
	fd, err := beneath(s.parents, target, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return inode.ID{}, err
	}
	defer unix.Close(fd)
	st, err := inode.Fstat(fd)
	return inode.IDOf(st), err
}

// copyFile copies target of the layers below, with all metadata, to base in dir.
func (s *settler) copyFile(target string, dir int, base string) error {
	from, err := beneath(s.parents, target, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	st, err := inode.Fstat(from)
	if err != nil {
		return err
	}
	m, err := inode.Read(from)
	if err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		err = s.copyBytes(target, dir, base)
	case unix.S_IFLNK:
		var to string
		if to, err = inode.Readlink(from, ""); err == nil {
			err = unix.Symlinkat(to, dir, base)
		}
	default:
		err = unix.Mknodat(dir, base, st.Mode&unix.S_IFMT|0o600, int(st.Rdev))
	}
	if err != nil {
		return fmt.Errorf("copy %q up: %w", target, err)
	}
	i := inode.File{Dir: dir, Name: base}
	if err := i.DropXattrs(); err != nil { // a default ACL of the directory
		return err
	}
	return m.Write(i)
}

func (s *settler) copyBytes(target string, dir int, base string) (err error) {
	fd, err := beneath(s.parents, target, unix.O_RDONLY|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	from := os.NewFile(uintptr(fd), target)
	defer from.Close()
	fd, err = inode.OpenAt(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	to := os.NewFile(uintptr(fd), base)
	defer func() { err = errors.Join(err, to.Close()) }()
	st, err := inode.Fstat(fd)
	if err != nil {
		return err
	}
	s.sums.Forget(st.Ino)
	return s.copyData(from, to)
}

// copyData copies the bytes and leaves the holes.
func (s *settler) copyData(from, to *os.File) error {
	fi, err := from.Stat()
	if err != nil {
		return err
	}
	for end := int64(0); ; {
		start, err := from.Seek(end, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return to.Truncate(fi.Size())
		}
		if err != nil {
			return err
		}
		if end, err = from.Seek(start, unix.SEEK_HOLE); err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(to, start), io.NewSectionReader(from, start, end-start)); err != nil {
			return err
		}
		if err := s.ctx.Err(); err != nil {
			return err
		}
	}
}
