package manifest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"iter"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
)

const opaqueXattr = "trusted.overlay.opaque"

// maxXattr is the most that the kernel gives for the names of a file's xattrs, and for one value.
const maxXattr = 64 << 10

// WriteDirectory adds all that dir holds, itself included, to w, a manifest of the kind Directory. Nobody may change
// dir meanwhile. The bytes of files that sums, which may be nil, knows are not read. It holds a descriptor for each
// level.
func WriteDirectory(ctx context.Context, w *Writer, dir *os.File, sums *Sums) error {
	defer runtime.KeepAlive(dir)
	s := newScanner(ctx, w.Write, sums)
	return s.walk(int(dir.Fd()), "", ".")
}

// Scan ranges over all that dir holds now, itself included, as a manifest of the kind Directory would say it. Without
// content no file is read, and every SHA256 is zero. It ends after an error.
func Scan(ctx context.Context, dir *os.File, content bool) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		defer runtime.KeepAlive(dir)
		s := newScanner(ctx, func(e Entry) error {
			if !yield(e, nil) {
				return errEnough
			}
			return nil
		}, nil)
		s.skipContent = !content
		if err := s.walk(int(dir.Fd()), "", "."); err != nil && !errors.Is(err, errEnough) {
			yield(Entry{}, err)
		}
	}
}

// errEnough ends a Scan that nobody listens to any more.
var errEnough = errors.New("enough")

// Change is a name that a layer changed in a tree that it shares with the layers below.
type Change struct {
	Path    string
	Removed bool // the name is gone
	Opaque  bool // what the layers below have in the directory is gone
	// Below is, of a new hard link to a file of the layers below, the name that it was made to; else "".
	Below string
}

// WriteChanges adds what changes names to w, a manifest of the kind Changes: each as dir, the whole tree, has it now.
// The order is that of ComparePaths, and all directories on the way are there. Otherwise it is WriteDirectory.
func WriteChanges(ctx context.Context, w *Writer, dir *os.File, changes iter.Seq[Change], sums *Sums) error {
	defer runtime.KeepAlive(dir)
	s := newScanner(ctx, w.Write, sums)
	c := changeScanner{scanner: s}
	defer c.leave(0)
	for change := range changes {
		if err := c.add(int(dir.Fd()), change); err != nil {
			return err
		}
	}
	return nil
}

// scanner describes files.
type scanner struct {
	ctx   context.Context
	emit  func(Entry) error
	sums  *Sums
	names map[inode.ID]Entry // files with several names: what the others say of Link
	hash  hash.Hash
	buf   []byte
	list  []byte // names of xattrs
	value []byte // of an xattr

	skipContent bool
}

func newScanner(ctx context.Context, emit func(Entry) error, sums *Sums) *scanner {
	return &scanner{ctx: ctx, emit: emit, sums: sums, names: map[inode.ID]Entry{}, list: make([]byte, maxXattr), value: make([]byte, maxXattr)}
}

// walk adds base in the directory at, and all that is in it.
func (s *scanner) walk(at int, name, base string) error {
	e, err := s.describe(at, name, base)
	if err == nil {
		err = s.emit(e)
	}
	if err != nil || e.Type != Dir {
		return err
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	fd, err := inode.OpenDir(at, base)
	if err != nil {
		return describeError("open", name, err)
	}
	defer unix.Close(fd)
	names, err := inode.Names(fd)
	if err != nil {
		return describeError("read", name, err)
	}
	for _, child := range names {
		if err := s.walk(fd, path.Join(name, child), child); err != nil {
			return err
		}
	}
	return nil
}

// describe makes the entry of base in the directory at.
func (s *scanner) describe(at int, name, base string) (Entry, error) {
	st, err := inode.Stat(at, base)
	if err != nil {
		return Entry{}, describeError("stat", name, err)
	}
	e := Entry{Path: name, Type: typeOf(st), Mode: st.Mode & inode.Permissions, UID: st.Uid, GID: st.Gid, Mtime: st.Mtim}
	if e.Xattrs, err = s.xattrs(at, base); err != nil {
		return e, describeError("read xattrs of", name, err)
	}
	switch e.Type {
	case Regular:
		e.Size = st.Size
	case Symlink:
		if e.Target, err = inode.Readlink(at, base); err != nil {
			return e, describeError("read link", name, err)
		}
	case Char, Block:
		e.Rdev = st.Rdev
	case Dir:
		e.Opaque = slices.Contains(e.Xattrs, Xattr{opaqueXattr, "y"})
	case Fifo, Socket, Whiteout, noType:
	}
	err = s.content(at, base, &e, st)
	return e, err
}

// content adds to e the digest and which names are one file.
func (s *scanner) content(at int, base string, e *Entry, st unix.Stat_t) (err error) {
	several := st.Nlink > 1 && e.Type != Dir && e.Type != Whiteout // overlayfs makes one inode of all whiteouts
	if first, ok := s.names[inode.IDOf(st)]; ok && several {
		e.Link, e.LinkBelow, e.SHA256 = first.Link, first.LinkBelow, first.SHA256
		return nil
	}
	if e.Type == Regular && !s.skipContent {
		if e.SHA256, err = s.digest(at, base, st); err != nil {
			return describeError("read", e.Path, err)
		}
	}
	if several {
		s.names[inode.IDOf(st)] = Entry{Link: e.Path, SHA256: e.SHA256}
	}
	return nil
}

func describeError(verb, name string, err error) error {
	return fmt.Errorf("%s %q: %w", verb, "/"+name, err)
}

func typeOf(st unix.Stat_t) Type {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return Regular
	case unix.S_IFDIR:
		return Dir
	case unix.S_IFLNK:
		return Symlink
	case unix.S_IFCHR:
		if st.Rdev == 0 {
			return Whiteout
		}
		return Char
	case unix.S_IFBLK:
		return Block
	case unix.S_IFIFO:
		return Fifo
	}
	return Socket
}

// xattrs returns the xattrs of base, without the labels that the host gives to its own files.
func (s *scanner) xattrs(at int, base string) ([]Xattr, error) {
	file := inode.Path(at, base)
	n, err := unix.Llistxattr(file, s.list)
	if errors.Is(err, unix.ENOTSUP) || n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []Xattr
	for name := range strings.SplitSeq(string(s.list[:n]), "\x00") {
		if name == "" || inode.IsForeignXattr(name) && !inode.IsOverlayXattr(name) {
			continue
		}
		n, err := unix.Lgetxattr(file, name, s.value)
		if err != nil {
			return nil, err
		}
		found = append(found, Xattr{name, string(s.value[:n])})
	}
	slices.SortFunc(found, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

// digest returns the sha256 of a file's bytes: as noted, or by reading them.
func (s *scanner) digest(at int, base string, st unix.Stat_t) (sum [sha256.Size]byte, err error) {
	if sum, ok := s.sums.of(st.Ino); ok {
		return sum, nil
	}
	fd, err := inode.OpenAt(at, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return sum, err
	}
	defer unix.Close(fd)
	if s.hash == nil {
		s.hash, s.buf = sha256.New(), make([]byte, 256<<10)
	}
	s.hash.Reset()
	for {
		n, err := unix.Read(fd, s.buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return sum, err
		case n == 0:
			return [sha256.Size]byte(s.hash.Sum(nil)), nil
		}
		s.hash.Write(s.buf[:n])
		if err := s.ctx.Err(); err != nil {
			return sum, err
		}
	}
}
