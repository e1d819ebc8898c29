package tree

import (
	"context"
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
// and so is what vanishes or is moved meanwhile. However deep the directories are nested, few are open at once.
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
	c := census{bytes: make([]int64, o.number+1), seen: map[inode]bool{}}
	if err := walk(ctx, fd, place{&o.top, c.add(&o.top, 0, &st)}, c.visit); err != nil {
		return nil, fmt.Errorf("count what %q holds: %w", top, err)
	}
	return c.bytes, nil
}

// census is one walk.
type census struct {
	bytes []int64
	seen  map[inode]bool // files that have several names
}

// place is what is known of a directory: what was said of it, which may be nil, and whose all in it is.
type place struct {
	said  *branch
	owner int
}

// visit counts name in above.
func (c *census) visit(above place, name string, st *unix.Stat_t) place {
	if st.Mode&unix.S_IFMT != unix.S_IFDIR && st.Nlink > 1 {
		if c.seen[inodeOf(st)] {
			return place{}
		}
		c.seen[inodeOf(st)] = true
	}
	var said *branch
	if above.said != nil {
		said = above.said.below[name]
	}
	return place{said, c.add(said, above.owner, st)}
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
