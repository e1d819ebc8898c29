package layer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
)

// found is one file of a tree that is walked. The root of the tree has the path "" and the base ".".
type found struct {
	path string
	dir  int // descriptor of the directory that holds it
	base string
	stat unix.Stat_t
}

// walkTree calls do for everything in root, the root first and the entries of each directory in the order of their
// bytes, so that two walks of one tree are alike. What vanishes meanwhile is left out. When do answers skipDir, the
// directory is not entered.
func walkTree(ctx context.Context, root int, do func(found) error) error {
	return walkFrom(ctx, found{dir: root, base: "."}, do)
}

var errSkipDir = errors.New("skip this directory")

func walkFrom(ctx context.Context, f found, do func(found) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var err error
	if f.stat, err = inode.Stat(f.dir, f.base); err != nil {
		return f.wrap("stat", ignoreMissing(err))
	}
	err = do(f)
	if errors.Is(err, errSkipDir) {
		return nil
	}
	if err != nil || !inode.IsType(f.stat, unix.S_IFDIR) {
		return err
	}
	fd, err := inode.OpenDir(f.dir, f.base)
	if err != nil {
		return f.wrap("open", ignoreMissing(err))
	}
	defer unix.Close(fd)
	names, err := inode.Names(fd)
	if err != nil {
		return f.wrap("read", err)
	}
	for _, base := range names {
		if err := walkFrom(ctx, found{path: path.Join(f.path, base), dir: fd, base: base}, do); err != nil {
			return err
		}
	}
	return nil
}

// ignoreMissing takes a file that is not there for no error.
func ignoreMissing(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// wrap adds what was done to which file; nil stays nil.
func (f found) wrap(verb string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %q: %w", verb, "/"+f.path, err)
}

func (f found) isDir() bool { return inode.IsType(f.stat, unix.S_IFDIR) }

func (f found) id() inode.ID { return inode.IDOf(f.stat) }

// xattrs returns all xattrs of the file.
func (f found) xattrs() (map[string]string, error) {
	fd, err := inode.OpenPath(f.dir, f.base)
	if err != nil {
		return nil, f.wrap("open", err)
	}
	defer unix.Close(fd)
	xattrs, err := inode.Xattrs(fd)
	return xattrs, f.wrap("read xattrs of", err)
}

// open opens a regular file for reading. It never blocks, whatever took the file's place since it was looked at.
func (f found) open() (*os.File, error) {
	fd, err := inode.OpenAt(f.dir, f.base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, f.wrap("open", err)
	}
	return os.NewFile(uintptr(fd), f.path), nil
}

// firstNames finds out which names are hard links to a file that came before.
type firstNames map[inode.ID]string

// of returns the first name of the file, "" when this is it.
func (n firstNames) of(f found) string {
	if f.isDir() || f.stat.Nlink < 2 {
		return ""
	}
	first, seen := n[f.id()]
	if !seen {
		n[f.id()] = f.path
	}
	return first
}
