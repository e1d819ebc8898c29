package unpack

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
	"github.com/lrun-dev/lrun/layer/needs"
	"github.com/lrun-dev/lrun/layer/unpack/header"
)

// create makes the entry h as base in the directory that was opened as its parent.
func (u *unpacker) create(base string, h *tar.Header, body io.Reader) error {
	if h.Typeflag == tar.TypeLink {
		return u.hardLink(base, h.Linkname)
	}
	m, err := header.Metadata(h)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return u.directory(base, m)
	case tar.TypeReg, tar.TypeGNUSparse:
		return u.regular(base, h, m, body)
	case tar.TypeSymlink:
		return u.symlink(base, h, m)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return u.special(base, h, m)
	}
	return needs.Invalid("entries of type %q are not supported", h.Typeflag)
}

// fresh makes base with create, which fails with EEXIST where something is; that is then removed. The node returned
// is a new one.
func (u *unpacker) fresh(base string, create func(dir int) error) (*node, error) {
	parent := u.parents.top()
	err := create(parent.fd)
	if errors.Is(err, unix.EEXIST) {
		if err := u.clear(parent, base); err != nil {
			return nil, fmt.Errorf("replace: %w", err)
		}
		err = create(parent.fd)
	}
	if err != nil {
		return nil, err
	}
	u.parents.added()
	n := parent.node.put(base, &node{seq: u.seq})
	return n, u.dropInherited(parent, base)
}

// clear removes base, a whole directory too: the entry that comes replaces it.
func (u *unpacker) clear(parent *frame, base string) error {
	if err := u.decide(parent.node, base, true); err != nil {
		return err
	}
	delete(parent.node.children, base)
	u.gone()
	return inode.RemoveTree(parent.fd, base)
}

// gone is called when a link or a directory is removed that may have been on the way of a walk. What is open for the
// entry at hand stays right: it is an ancestor of what was removed.
func (u *unpacker) gone() {
	u.parents.valid = false
	u.targets.forget()
}

// dropInherited undoes what a default ACL of the parent did to a new file: a tar says itself what ACLs it has.
func (u *unpacker) dropInherited(parent *frame, base string) error {
	if !parent.acl {
		return nil
	}
	return inode.File{Dir: parent.fd, Name: base}.DropXattrs()
}

func (u *unpacker) directory(base string, m inode.Metadata) error {
	parent := u.parents.top()
	err := unix.Mkdirat(parent.fd, base, 0o700)
	var n *node
	switch {
	case err == nil:
		hidden := parent.node.child(base) != nil // by a whiteout, in the tree of the parents
		n = parent.node.put(base, &node{dir: true, severed: hidden, opaque: hidden})
		err = u.dropInherited(parent, base)
	case errors.Is(err, unix.EEXIST):
		if err = u.decide(parent.node, base, false); err == nil {
			n, err = u.existingDir(parent, base)
		}
	}
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if err := m.WriteExceptTime(inode.File{Dir: parent.fd, Name: base}); err != nil {
		return err
	}
	u.parents.added()
	n.seq, n.holds = u.seq, true
	n.setTime(m.Mtime)
	return nil
}

// existingDir takes over what is already there by the name of a directory entry: a directory stays with what is in
// it but loses its xattrs, anything else is replaced.
func (u *unpacker) existingDir(parent *frame, base string) (*node, error) {
	st, err := inode.Stat(parent.fd, base)
	if err != nil {
		return nil, err
	}
	if !inode.IsType(st, unix.S_IFDIR) {
		return u.makeDir(parent, base)
	}
	if err := (inode.File{Dir: parent.fd, Name: base}).DropXattrs(); err != nil {
		return nil, err
	}
	if n := parent.node.child(base); n != nil {
		return n, nil
	}
	return parent.node.put(base, &node{dir: true}), nil
}

// makeDir makes the directory base, instead of the file or whiteout that this layer may have there. Then it is
// another directory than the one below, and nothing of that may show through.
func (u *unpacker) makeDir(parent *frame, base string) (*node, error) {
	n := &node{dir: true}
	if old := parent.node.child(base); old != nil {
		n.severed, n.opaque = true, true
	}
	err := unix.Mkdirat(parent.fd, base, 0o700)
	if errors.Is(err, unix.EEXIST) {
		u.gone()
		if err := unix.Unlinkat(parent.fd, base, 0); err != nil {
			return nil, err
		}
		err = unix.Mkdirat(parent.fd, base, 0o700)
	}
	if err != nil {
		return nil, err
	}
	parent.node.put(base, n)
	if err := u.dropInherited(parent, base); err != nil {
		return nil, err
	}
	if n.severed && u.overlay() {
		return n, u.markOpaque(parent.fd, base)
	}
	return n, nil
}

func (u *unpacker) regular(base string, h *tar.Header, m inode.Metadata, body io.Reader) (err error) {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW
	fd := -1
	_, err = u.fresh(base, func(dir int) (err error) {
		fd, err = inode.OpenAt(dir, base, flags, m.Mode&0o777)
		return err
	})
	if fd >= 0 {
		// A close error of a local filesystem is one of quota or of a network: the file would not be whole.
		defer func() { err = errors.Join(err, unix.Close(fd)) }()
	}
	if err != nil {
		return fmt.Errorf("create file: %w", err)
	}
	sum, err := u.content.Write(fd, h, body)
	if err != nil {
		return err
	}
	st, err := inode.Fstat(fd)
	if err != nil {
		return fmt.Errorf("stat file: %w", err)
	}
	u.sums.Set(st.Ino, sum)
	u.size += h.Size
	return m.WriteNew(inode.File{Dir: u.parents.top().fd, Name: base}, st)
}

func (u *unpacker) symlink(base string, h *tar.Header, m inode.Metadata) error {
	if strings.IndexByte(h.Linkname, 0) >= 0 || h.Linkname == "" || len(h.Linkname) > maxName {
		return needs.Invalid("the target of the symbolic link is empty, longer than %d bytes, or holds a NUL", maxName)
	}
	_, err := u.fresh(base, func(dir int) error { return unix.Symlinkat(h.Linkname, dir, base) })
	if err != nil {
		return fmt.Errorf("make symbolic link: %w", err)
	}
	return m.Write(inode.File{Dir: u.parents.top().fd, Name: base})
}

func (u *unpacker) special(base string, h *tar.Header, m inode.Metadata) error {
	mode, dev := uint32(unix.S_IFIFO), uint64(0)
	if h.Typeflag != tar.TypeFifo {
		// dev_t of the kernel has 12 and 20 bits.
		if h.Devmajor < 0 || h.Devmajor >= 1<<12 || h.Devminor < 0 || h.Devminor >= 1<<20 {
			return needs.Invalid("device number %d:%d is outside 4095:1048575", h.Devmajor, h.Devminor)
		}
		mode, dev = unix.S_IFBLK, unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))
	}
	if h.Typeflag == tar.TypeChar {
		mode = unix.S_IFCHR
		if dev == 0 {
			return needs.Invalid("the character device 0:0 is overlayfs's whiteout and would hide a file")
		}
	}
	_, err := u.fresh(base, func(dir int) error { return unix.Mknodat(dir, base, mode|0o600, int(dev)) })
	if err != nil {
		return fmt.Errorf("make device or FIFO: %w", err)
	}
	return m.Write(inode.File{Dir: u.parents.top().fd, Name: base})
}
