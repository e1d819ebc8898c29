package pack

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
)

// Names of entries that remove something (OCI image spec, layer.md).
const (
	WhiteoutPrefix = ".wh."
	opaqueMarker   = ".wh..wh..opq"
)

const chunkSize = 256 << 10

// Writer writes entries of a tar in which each entry says the same whenever it is written. Make it with NewWriter.
type Writer struct {
	// Latest, unless it is zero, takes the place of modification times after it.
	Latest time.Time

	ctx   context.Context
	tar   *tar.Writer
	names FirstNames
	buf   []byte
}

// NewWriter returns a writer to w, which it does not close.
func NewWriter(ctx context.Context, w io.Writer) *Writer {
	return &Writer{ctx: ctx, tar: tar.NewWriter(w), names: FirstNames{}, buf: make([]byte, chunkSize)}
}

// Close writes the end of the tar.
func (w *Writer) Close() error {
	if err := w.tar.Close(); err != nil {
		return fmt.Errorf("write end of tar: %w", err)
	}
	return nil
}

// Add writes the file. A second name of a file that was added is a hard link to the first. A socket, which no tar can
// hold, and a file that is gone are left out.
func (w *Writer) Add(f File) error {
	h, err := w.header(f)
	if err != nil || h == nil {
		return IgnoreMissing(err)
	}
	if h.Typeflag == tar.TypeReg {
		return w.regular(f, h)
	}
	return f.Wrap("write header of", w.tar.WriteHeader(h))
}

// Whiteout writes the removal of the name.
func (w *Writer) Whiteout(name string) error {
	dir, base := path.Split(name)
	return w.marker(dir + WhiteoutPrefix + base)
}

// Opaque writes the removal of all that was in the directory dir.
func (w *Writer) Opaque(dir string) error { return w.marker(path.Join(dir, opaqueMarker)) }

// marker writes an empty file. Its metadata mean nothing, so they are always the same.
func (w *Writer) marker(name string) error {
	h := &tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeReg, Name: name, ModTime: time.Unix(0, 0)}
	if err := w.tar.WriteHeader(h); err != nil {
		return fmt.Errorf("write header of %q: %w", "/"+name, err)
	}
	return nil
}

// header makes the tar header of a file, nil for what a tar cannot hold.
func (w *Writer) header(f File) (*tar.Header, error) {
	h := &tar.Header{
		Format: tar.FormatPAX, Name: f.Path, Mode: int64(f.Stat.Mode & inode.Permissions),
		Uid: int(f.Stat.Uid), Gid: int(f.Stat.Gid), ModTime: w.time(f),
	}
	switch f.Stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		h.Typeflag, h.Size = tar.TypeReg, f.Stat.Size
	case unix.S_IFDIR:
		h.Typeflag, h.Name = tar.TypeDir, dirName(f.Path)
	case unix.S_IFLNK:
		target, err := inode.Readlink(f.Dir, f.Base)
		if err != nil {
			return nil, f.Wrap("read link", err)
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
	case unix.S_IFCHR, unix.S_IFBLK:
		h.Typeflag = tar.TypeChar
		if inode.IsType(f.Stat, unix.S_IFBLK) {
			h.Typeflag = tar.TypeBlock
		}
		h.Devmajor, h.Devminor = int64(unix.Major(f.Stat.Rdev)), int64(unix.Minor(f.Stat.Rdev))
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	default:
		return nil, nil
	}
	if first := w.names.Of(f); first != "" {
		h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
		return h, nil
	}
	return h, addXattrs(h, f)
}

func (w *Writer) time(f File) time.Time {
	t := time.Unix(f.Stat.Mtim.Unix())
	if !w.Latest.IsZero() && t.After(w.Latest) {
		return w.Latest
	}
	return t
}

// dirName is how a tar names a directory; the root is "./".
func dirName(path string) string {
	if path == "" {
		path = "."
	}
	return path + "/"
}

func addXattrs(h *tar.Header, f File) error {
	xattrs, err := f.Xattrs()
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

func (w *Writer) regular(f File, h *tar.Header) error {
	file, err := f.Open()
	if err != nil {
		return IgnoreMissing(err)
	}
	defer file.Close()
	if fi, err := file.Stat(); err != nil {
		return f.Wrap("stat", err)
	} else if !fi.Mode().IsRegular() {
		return fmt.Errorf("read %q: it was replaced meanwhile: %w", f.Path, errdefs.ErrDataLoss)
	}
	if err := w.tar.WriteHeader(h); err != nil {
		return f.Wrap("write header of", err)
	}
	if f.Stat.Blocks*512 < f.Stat.Size {
		return f.Wrap("write", w.copySparse(file, h.Size))
	}
	return f.Wrap("write", w.copy(file, h.Size))
}

func (w *Writer) copy(from io.Reader, size int64) error {
	for size > 0 {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		n, err := from.Read(w.buf[:min(size, int64(len(w.buf)))])
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("the file lost %d bytes while it was read: %w", size, errdefs.ErrDataLoss)
		}
		if err != nil {
			return err
		}
		if _, err := w.tar.Write(w.buf[:n]); err != nil {
			return err
		}
		size -= int64(n)
	}
	return nil
}
