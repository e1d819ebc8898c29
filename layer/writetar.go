package layer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
)

// TarOptions says what WriteTar writes.
type TarOptions struct {
	// Skip, when set, is asked for every name, relative to the root and without a leading slash; what it answers
	// true for is left out, a directory with all that it holds.
	Skip func(name string) bool
}

// WriteTar writes the tree in dir to w as a tar: the same bytes for the same tree, names in the order of their bytes,
// parents first, the root itself left out. PAX records carry what the plain header cannot: long and foreign names,
// high owners, times in nanoseconds, xattrs (SCHILY.xattr). Files with several names become hard links. Sockets are
// left out, as by every tar; so are overlayfs's own xattrs and the labels of the host's security module. Names are
// written byte for byte, UTF-8 or not.
//
// The tree may be in use: a file that vanishes is left out, one that grows is cut at the size that it had, one that
// shrinks while it is read is ErrDataLoss. w is not closed and, like the tree, only read through descriptors.
func WriteTar(ctx context.Context, w io.Writer, dir *os.File, o TarOptions) error {
	defer runtime.KeepAlive(dir)
	t := &tarWriter{ctx: ctx, w: tar.NewWriter(w), skip: o.Skip, names: firstNames{}, buf: make([]byte, chunkSize)}
	if err := walkTree(ctx, int(dir.Fd()), t.write); err != nil {
		return err
	}
	if err := t.w.Close(); err != nil {
		return fmt.Errorf("write end of tar: %w", err)
	}
	return nil
}

type tarWriter struct {
	ctx   context.Context
	w     *tar.Writer
	skip  func(string) bool
	names firstNames
	buf   []byte
}

func (t *tarWriter) write(f found) error {
	if f.path == "" {
		return nil
	}
	if t.skip != nil && t.skip(f.path) {
		return errSkipDir
	}
	h, err := t.header(f)
	if err != nil || h == nil {
		return ignoreMissing(err)
	}
	if h.Typeflag == tar.TypeReg {
		return t.regular(f, h)
	}
	return f.wrap("write header of", t.w.WriteHeader(h))
}

// header makes the tar header of a file, nil for what a tar cannot hold.
func (t *tarWriter) header(f found) (*tar.Header, error) {
	h := &tar.Header{
		Format: tar.FormatPAX, Name: f.path, Mode: int64(f.stat.Mode & inode.Permissions),
		Uid: int(f.stat.Uid), Gid: int(f.stat.Gid), ModTime: time.Unix(f.stat.Mtim.Unix()),
	}
	switch f.stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		h.Typeflag, h.Size = tar.TypeReg, f.stat.Size
	case unix.S_IFDIR:
		h.Typeflag, h.Name = tar.TypeDir, f.path+"/"
	case unix.S_IFLNK:
		target, err := inode.Readlink(f.dir, f.base)
		if err != nil {
			return nil, f.wrap("read link", err)
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
	case unix.S_IFCHR, unix.S_IFBLK:
		h.Typeflag = tar.TypeChar
		if inode.IsType(f.stat, unix.S_IFBLK) {
			h.Typeflag = tar.TypeBlock
		}
		h.Devmajor, h.Devminor = int64(unix.Major(f.stat.Rdev)), int64(unix.Minor(f.stat.Rdev))
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	default:
		return nil, nil
	}
	if first := t.names.of(f); first != "" {
		h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
		return h, nil
	}
	return h, addXattrs(h, f)
}

func addXattrs(h *tar.Header, f found) error {
	xattrs, err := f.xattrs()
	if err != nil {
		return err
	}
	maps.DeleteFunc(xattrs, func(name, _ string) bool { return inode.IsForeignXattr(name) })
	for name, value := range xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords["SCHILY.xattr."+name] = value
	}
	return nil
}

func (t *tarWriter) regular(f found, h *tar.Header) error {
	file, err := f.open()
	if err != nil {
		return ignoreMissing(err)
	}
	defer file.Close()
	if fi, err := file.Stat(); err != nil {
		return f.wrap("stat", err)
	} else if !fi.Mode().IsRegular() {
		return fmt.Errorf("read %q: it was replaced meanwhile: %w", f.path, errdefs.ErrDataLoss)
	}
	if err := t.w.WriteHeader(h); err != nil {
		return f.wrap("write header of", err)
	}
	return f.wrap("write", t.copy(file, h.Size))
}

func (t *tarWriter) copy(from io.Reader, size int64) error {
	for size > 0 {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		n, err := from.Read(t.buf[:min(size, int64(len(t.buf)))])
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("the file lost %d bytes while it was read: %w", size, errdefs.ErrDataLoss)
		}
		if err != nil {
			return err
		}
		if _, err := t.w.Write(t.buf[:n]); err != nil {
			return err
		}
		size -= int64(n)
	}
	return nil
}
