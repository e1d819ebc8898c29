package tree

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Usage counts the bytes on disk and the files of the directory path and all below it; a file with
// several names counts once, a sparse one by its blocks. What vanishes meanwhile is left out, what is
// mounted below too.
func Usage(ctx context.Context, path string) (size, inodes int64, err error) {
	top, err := openTop(path)
	if err != nil {
		return 0, 0, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(top.Fd()), &st); err != nil {
		return 0, 0, errors.Join(entryError("stat", top, ".", err), top.Close())
	}
	c := counter{ctx: ctx, seen: map[inode]bool{}}
	c.count(&st)
	err = c.directory(top)
	return c.size, c.inodes, errors.Join(err, top.Close())
}

type counter struct {
	ctx          context.Context
	size, inodes int64
	seen         map[inode]bool // files that have several names
}

func (c *counter) count(st *unix.Stat_t) {
	c.size += st.Blocks * 512
	c.inodes++
}

// directory counts what is in d.
func (c *counter) directory(d *os.File) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	names, err := d.Readdirnames(-1)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, name := range names {
		if err := c.entry(d, name); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, errMounted) {
			return err
		}
	}
	return nil
}

// entry counts name in d.
func (c *counter) entry(d *os.File, name string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(int(d.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT); err != nil {
		return entryError("stat", d, name, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		if st.Nlink > 1 && c.seen[inodeOf(&st)] {
			return nil
		}
		if st.Nlink > 1 {
			c.seen[inodeOf(&st)] = true
		}
		c.count(&st)
		return nil
	}
	sub, err := openDir(d, name)
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil // replaced meanwhile
	}
	if err != nil {
		return err
	}
	c.count(&st)
	return errors.Join(c.directory(sub), sub.Close())
}

// Allocated counts the bytes on disk of path, a file or a directory with all below it: see Usage.
func Allocated(ctx context.Context, path string) (int64, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return st.Blocks * 512, nil
	}
	size, _, err := Usage(ctx, path)
	return size, err
}
