package tree

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Owners says whose the files below a directory are. Owners are numbers from 0 on. The zero value gives all to 0.
type Owners struct {
	top    branch
	number int // the greatest given
}

// branch is what was said of one path, and of those below it.
type branch struct {
	owner, alone int // one more than the owner's number; 0: as the directory above, or as owner
	below        map[string]*branch
}

// Give gives path, which is relative, and all below it to owner, except for what is given away by a longer path.
func (o *Owners) Give(path string, owner int) { o.at(path, owner).owner = owner + 1 }

// GiveAlone gives path to owner, and nothing below it.
func (o *Owners) GiveAlone(path string, owner int) { o.at(path, owner).alone = owner + 1 }

// at returns the branch of path, which it makes.
func (o *Owners) at(path string, owner int) *branch {
	o.number = max(o.number, owner)
	b := &o.top
	if path = filepath.Clean(path); path == "." {
		return b
	}
	for name := range strings.SplitSeq(path, "/") {
		next := b.below[name]
		if next == nil {
			if b.below == nil {
				b.below = map[string]*branch{}
			}
			next = &branch{}
			b.below[name] = next
		}
		b = next
	}
	return b
}

// Census counts how many bytes on disk each owner has of the directory top and all below it, in one walk. Together they are what
// du -x counts: a file with several names counts once, as the file of whom it is met at first; what is mounted below is left out,
// and so is what vanishes meanwhile.
func (o *Owners) Census(ctx context.Context, top string) (bytes []int64, err error) {
	fd, err := unix.Open(top, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", top, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("stat %q: %w", top, err)
	}
	c := census{ctx: ctx, bytes: make([]int64, o.number+1), seen: map[inode]bool{}, buf: make([]byte, 32<<10)}
	owner := c.add(&o.top, 0, &st)
	if err := c.directory(fd, &o.top, owner); err != nil {
		return nil, fmt.Errorf("count what %q holds: %w", top, err)
	}
	return c.bytes, nil
}

// census is one walk.
type census struct {
	ctx   context.Context
	bytes []int64
	seen  map[inode]bool // files that have several names
	buf   []byte         // of directory entries
}

// add counts one file, and returns whose all below it is. b may be nil; above is who has the directory.
func (c *census) add(b *branch, above int, st *unix.Stat_t) int {
	owner := above
	if b != nil && b.owner > 0 {
		owner = b.owner - 1
	}
	alone := owner
	if b != nil && b.alone > 0 {
		alone = b.alone - 1
	}
	c.bytes[alone] += st.Blocks * 512
	return owner
}

// directory counts what is in the directory fd, of which b, which may be nil, says more.
func (c *census) directory(fd int, b *branch, owner int) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	names, err := c.names(fd)
	if err != nil {
		return err
	}
	for _, name := range names {
		var below *branch
		if b != nil {
			below = b.below[name]
		}
		if err := c.entry(fd, name, below, owner); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	return nil
}

// names reads a directory. One that is removed meanwhile is empty.
func (c *census) names(fd int) ([]string, error) {
	var names []string
	for {
		n, err := unix.Getdents(fd, c.buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOENT), err == nil && n == 0:
			return names, nil
		case err != nil:
			return nil, err
		}
		_, _, names = unix.ParseDirent(c.buf[:n], -1, names)
	}
}

// entry counts name in the directory at.
func (c *census) entry(at int, name string, b *branch, above int) error {
	var st unix.Stat_t
	if err := unix.Fstatat(at, name, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		if st.Nlink > 1 {
			if c.seen[inodeOf(&st)] {
				return nil
			}
			c.seen[inodeOf(&st)] = true
		}
		c.add(b, above, &st)
		return nil
	}
	fd, err := unix.Openat2(at, name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	switch {
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return nil // replaced meanwhile
	case errors.Is(err, unix.EXDEV):
		return nil // something is mounted there
	case err != nil:
		return err
	}
	defer unix.Close(fd)
	return c.directory(fd, b, c.add(b, above, &st))
}
