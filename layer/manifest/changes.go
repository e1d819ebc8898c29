package manifest

import (
	"path"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inode"
)

// changeScanner goes from one change to the next with the directories on the way open.
type changeScanner struct {
	*scanner
	open []openDir
}

type openDir struct {
	name string
	fd   int
}

// leave closes the open directories from n on.
func (c *changeScanner) leave(n int) {
	for _, d := range c.open[n:] {
		_ = unix.Close(d.fd)
	}
	c.open = c.open[:n]
}

// add describes one change and, if it is a directory, stays in it.
func (c *changeScanner) add(root int, change Change) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	at, base := root, "."
	if change.Path != "" {
		base = path.Base(change.Path)
		n := len(c.open)
		for n > 0 && !Inside(change.Path, c.open[n-1].name) {
			n--
		}
		c.leave(n)
		if n > 0 {
			at = c.open[n-1].fd
		}
	}
	if change.Removed {
		return c.emit(Entry{Path: change.Path, Type: Whiteout})
	}
	e, err := c.describe(at, change.Path, base)
	if err != nil {
		return err
	}
	e.Opaque = change.Opaque && e.Type == Dir
	if change.Below != "" && e.Link == "" {
		if err := c.linkBelow(root, at, base, change.Below, &e); err != nil {
			return err
		}
	}
	if err := c.emit(e); err != nil || e.Type != Dir {
		return err
	}
	fd, err := inode.OpenDir(at, base)
	if err != nil {
		return describeError("open", change.Path, err)
	}
	c.open = append(c.open, openDir{change.Path, fd})
	return nil
}

// linkBelow makes e, the file base in the directory at, a link to below if that name is still the same file.
func (c *changeScanner) linkBelow(root, at int, base, below string, e *Entry) error {
	fd, err := unix.Openat2(root, below, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return nil // it is gone, and with it the link
	}
	defer unix.Close(fd)
	there, err := inode.Fstat(fd)
	if err != nil {
		return describeError("stat", below, err)
	}
	here, err := inode.Stat(at, base)
	if err != nil {
		return describeError("stat", e.Path, err)
	}
	if inode.IDOf(here) == inode.IDOf(there) {
		e.Link, e.LinkBelow = below, true
		c.names[inode.IDOf(here)] = *e
	}
	return nil
}
