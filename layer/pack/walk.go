// Package pack writes the files of a tree into a tar. It is the inside of layer.WriteTar and of layer.Diff.
package pack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
)

// File is one file of a tree. The root of the tree has the path "" and the base ".".
type File struct {
	Path string // relative to the root
	Dir  int    // descriptor of the directory that holds it
	Base string // its name there
	Stat unix.Stat_t
}

// ErrSkipDir is what the function of Walk returns to have a directory not entered.
var ErrSkipDir = errors.New("skip this directory")

// Walk calls do for everything in root, the root first and the entries of each directory in the order of their
// bytes, so that two walks of one tree are alike. What vanishes meanwhile is left out. The descriptor in File is
// closed after do has returned.
func Walk(ctx context.Context, root int, do func(File) error) error {
	return walkFrom(ctx, File{Dir: root, Base: "."}, do)
}

func walkFrom(ctx context.Context, f File, do func(File) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var err error
	if f.Stat, err = inode.Stat(f.Dir, f.Base); err != nil {
		return f.Wrap("stat", IgnoreMissing(err))
	}
	err = do(f)
	if errors.Is(err, ErrSkipDir) {
		return nil
	}
	if err != nil || !f.IsDir() {
		return err
	}
	fd, err := inode.OpenDir(f.Dir, f.Base)
	if err != nil {
		return f.Wrap("open", IgnoreMissing(err))
	}
	defer unix.Close(fd)
	names, err := inode.Names(fd)
	if err != nil {
		return f.Wrap("read", err)
	}
	for _, base := range names {
		if err := walkFrom(ctx, File{Path: path.Join(f.Path, base), Dir: fd, Base: base}, do); err != nil {
			return err
		}
	}
	return nil
}

// IgnoreMissing takes a file that is not there for no error.
func IgnoreMissing(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// Wrap adds what was done to which file; nil stays nil.
func (f File) Wrap(verb string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %q: %w", verb, "/"+f.Path, err)
}

// IsDir reports that the file is a directory.
func (f File) IsDir() bool { return inode.IsType(f.Stat, unix.S_IFDIR) }

// ID is the file's identity, which all its names have in common.
func (f File) ID() inode.ID { return inode.IDOf(f.Stat) }

// Xattrs returns all xattrs of the file.
func (f File) Xattrs() (map[string]string, error) {
	fd, err := inode.OpenPath(f.Dir, f.Base)
	if err != nil {
		return nil, f.Wrap("open", err)
	}
	defer unix.Close(fd)
	xattrs, err := inode.Xattrs(fd)
	return xattrs, f.Wrap("read xattrs of", err)
}

// Open opens a regular file for reading; the caller closes it. It never blocks, whatever took the file's place since
// it was looked at.
func (f File) Open() (*os.File, error) {
	fd, err := inode.OpenAt(f.Dir, f.Base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, f.Wrap("open", err)
	}
	return os.NewFile(uintptr(fd), f.Path), nil
}

// FirstNames finds out which names are hard links to a file that came before.
type FirstNames map[inode.ID]string

// Of returns the first name of the file, "" when this is it.
func (n FirstNames) Of(f File) string {
	if f.IsDir() || f.Stat.Nlink < 2 {
		return ""
	}
	first, seen := n[f.ID()]
	if !seen {
		n[f.ID()] = f.Path
	}
	return first
}
