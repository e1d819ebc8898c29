package tree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// anchors is how many directories a walk holds open, from its top on. One that is nested deeper is closed while the walk
// is below it, and found again as the parent of the directory that it comes back from.
const anchors = 32

// How many bytes of names are read at once: most walks are of two or three files.
const (
	fewNames  = 1 << 10
	manyNames = 32 << 10
)

// walk calls visit for everything below the directory top, each directory before what is in it. above is what visit has
// returned for the directory that the file is in; for those in top it is first. It follows no symbolic link. What is mounted
// below is left out, and so is what vanishes or is moved meanwhile. top stays open.
func walk[T any](ctx context.Context, top int, first T, visit func(above T, name string, st *unix.Stat_t) T) error {
	w := &walker[T]{ctx: ctx, visit: visit, buf: make([]byte, fewNames)}
	err := w.push(top, "", first)
	for err == nil && len(w.levels) > 0 {
		l := &w.levels[len(w.levels)-1]
		if len(l.names) == 0 {
			err = w.leave()
			continue
		}
		name := l.names[0]
		l.names = l.names[1:]
		err = w.entry(l, name)
	}
	for _, l := range w.levels[min(1, len(w.levels)):] {
		if l.fd >= 0 {
			unix.Close(l.fd)
		}
	}
	return err
}

// walker is one walk.
type walker[T any] struct {
	ctx    context.Context
	visit  func(above T, name string, st *unix.Stat_t) T
	levels []level[T] // the directories that it is in; the first is the top
	buf    []byte     // of directory entries
}

// level is one directory that a walk is in.
type level[T any] struct {
	fd    int // -1: closed
	self  inode
	name  string
	names []string // what it still has to visit there
	above T
}

// push goes into the directory fd, which it takes over.
func (w *walker[T]) push(fd int, name string, above T) error {
	w.levels = append(w.levels, level[T]{fd: fd, name: name, above: above})
	err := w.ctx.Err()
	if err == nil {
		l := &w.levels[len(w.levels)-1]
		if l.names, err = w.read(fd); err != nil {
			err = w.fail("read", "", err)
		}
	}
	return err
}

// read returns the names in a directory. One that is removed meanwhile is empty.
func (w *walker[T]) read(fd int) (names []string, err error) {
	for {
		n, err := unix.Getdents(fd, w.buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOENT), err == nil && n == 0:
			return names, nil
		case err != nil:
			return nil, err
		}
		_, _, names = unix.ParseDirent(w.buf[:n], -1, names)
		if n > fewNames/2 && len(w.buf) == fewNames {
			w.buf = make([]byte, manyNames)
		}
	}
}

// entry visits name in l, the innermost level.
func (w *walker[T]) entry(l *level[T], name string) error {
	var st unix.Stat_t
	err := unix.Fstatat(l.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return w.fail("stat", name, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		w.visit(l.above, name, &st)
		return nil
	}
	fd, err := unix.Openat2(l.fd, name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP): // gone or replaced meanwhile
		return nil
	case errors.Is(err, unix.EXDEV): // something is mounted there
		return nil
	case err != nil:
		return w.fail("open", name, err)
	}
	above := w.visit(l.above, name, &st)
	if len(w.levels) > anchors {
		err = w.close(l)
	}
	return errors.Join(err, w.push(fd, name, above))
}

// close closes l and notes which directory it was.
func (w *walker[T]) close(l *level[T]) error {
	var st unix.Stat_t
	if err := unix.Fstat(l.fd, &st); err != nil {
		return w.fail("stat", "", err)
	}
	l.self = inodeOf(&st)
	unix.Close(l.fd)
	l.fd = -1
	return nil
}

// leave goes back to the directory that the innermost one is in. When that was moved out of there, it goes back to one that it
// has open.
func (w *walker[T]) leave() error {
	left := w.levels[len(w.levels)-1]
	if len(w.levels) == 1 {
		w.levels = nil
		return nil
	}
	var err error
	back := &w.levels[len(w.levels)-2]
	if back.fd < 0 {
		back.fd, err = parent(left.fd, back.self)
	}
	unix.Close(left.fd)
	w.levels = w.levels[:len(w.levels)-1]
	if err != nil {
		return w.fail("open", left.name+"/..", err)
	}
	for w.levels[len(w.levels)-1].fd < 0 {
		w.levels = w.levels[:len(w.levels)-1]
	}
	return nil
}

// parent opens the directory that fd is in if it is want, and returns -1 if it is another.
func parent(fd int, want inode) (int, error) {
	up, err := unix.Openat(fd, "..", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return -1, nil
	}
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	err = unix.Fstat(up, &st)
	if err == nil && inodeOf(&st) == want {
		return up, nil
	}
	return -1, errors.Join(err, unix.Close(up))
}

// fail is the error of op on name in the innermost directory.
func (w *walker[T]) fail(op, name string, err error) error {
	const far = 16 // enough to find it
	var path []string
	for _, l := range w.levels[min(1, len(w.levels)):] {
		path = append(path, l.name)
	}
	if skip := len(path) - far; skip > 0 {
		path = append([]string{fmt.Sprintf("… %d directories …", skip)}, path[skip:]...)
	}
	return &fs.PathError{Op: op, Path: strings.Join(append(path, name), "/"), Err: err}
}
