package diff

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
	"github.com/lrun-dev/lrun/layer/pack"
)

// writer writes items as a layer. dirs are the directories that are open, from the root down.
type writer struct {
	tar     *pack.Writer
	overlay bool
	dirs    []openDir
}

type openDir struct {
	path string
	fd   int
}

// write writes items, which are in the order of the walk.
func write(ctx context.Context, out io.Writer, s Source, o Options, items []item) error {
	w := &writer{tar: pack.NewWriter(ctx, out), overlay: s.Overlay, dirs: []openDir{{"", int(s.Dir.Fd())}}}
	w.tar.Latest = o.Latest
	defer w.leave(1)
	for _, it := range items {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.item(it); err != nil {
			return err
		}
	}
	return w.tar.Close()
}

func (w *writer) item(it item) error {
	if it.kind == Deleted {
		return w.tar.Whiteout(it.path)
	}
	f := pack.File{Path: it.path, Base: "."}
	dir, base := path.Split(it.path)
	if it.path != "" {
		f.Base = base
	}
	var err error
	if f.Dir, err = w.enter(strings.TrimSuffix(dir, "/")); err == nil {
		f.Stat, err = inode.Stat(f.Dir, f.Base)
	}
	if isGone(err) {
		return nil
	}
	if err != nil {
		return f.Wrap("stat", err)
	}
	if err := w.check(f, base); err != nil {
		return err
	}
	if inode.IsType(f.Stat, unix.S_IFSOCK) && it.below {
		return w.tar.Whiteout(it.path) // what was there is gone, and a tar cannot hold a socket
	}
	if err := w.tar.Add(f); err != nil || !it.opaque {
		return err
	}
	return w.tar.Opaque(it.path)
}

// check refuses what no layer can say.
func (w *writer) check(f pack.File, base string) error {
	switch {
	case strings.HasPrefix(base, pack.WhiteoutPrefix):
		return fmt.Errorf("%q: a layer cannot hold a name that begins with %s, which is how it writes down a removal: rename or remove it: %w",
			"/"+f.Path, pack.WhiteoutPrefix, errdefs.ErrInvalidArgument)
	case inode.IsType(f.Stat, unix.S_IFCHR) && f.Stat.Rdev == 0:
		return fmt.Errorf("%q: a layer cannot hold the device 0:0, which is how overlayfs writes down a removal: remove it: %w",
			"/"+f.Path, errdefs.ErrInvalidArgument)
	case w.overlay && inode.IsType(f.Stat, unix.S_IFREG):
		return checkData(f)
	}
	return nil
}

// enter opens the directory at path, which is or lies in one of those that are open or in their parents.
func (w *writer) enter(dir string) (int, error) {
	for {
		last := w.dirs[len(w.dirs)-1]
		if dir == last.path {
			return last.fd, nil
		}
		rest, inside := strings.CutPrefix(dir, last.path+"/")
		if last.path == "" {
			rest, inside = dir, true
		}
		if !inside {
			w.leave(len(w.dirs) - 1)
			continue
		}
		base, _, _ := strings.Cut(rest, "/")
		fd, err := inode.OpenDir(last.fd, base)
		if err != nil {
			return -1, err
		}
		w.dirs = append(w.dirs, openDir{path.Join(last.path, base), fd})
	}
}

// leave closes all but the first n directories.
func (w *writer) leave(n int) {
	for _, d := range w.dirs[n:] {
		unix.Close(d.fd)
	}
	w.dirs = w.dirs[:n]
}

// isGone tells that a file, or a directory that it was in, is not there any more.
func isGone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) }
