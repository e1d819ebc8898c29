package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/subvolume"
)

const (
	// maxDepth is how many directories are open at once; what is nested deeper is moved up first.
	maxDepth = 64
	// maxErrors is how many of the files that resist are reported.
	maxErrors = 8
)

// Remove deletes path and, when that is a directory, all below it; when it is not there that is no error. Files
// may be deleted by others meanwhile. What resists does not stop the rest. Where something is
// mounted, in this mount namespace, nothing is deleted, and the error is an
// errdefs.ErrFailedPrecondition. Files that are immutable or append-only are made deletable.
// Subvolumes of btrfs are deleted as such, read-only ones too.
func Remove(ctx context.Context, path string) error {
	parent, err := os.Open(filepath.Dir(path))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	r := &remover{ctx: ctx}
	r.remove(parent, filepath.Base(path))
	if r.more > 0 {
		r.errs = append(r.errs, fmt.Errorf("remove %q: %d more errors", path, r.more))
	}
	return errors.Join(append(r.errs, parent.Close())...)
}

// remover deletes one tree.
type remover struct {
	ctx   context.Context
	top   *os.File // the tree's own directory, where deep ones are moved
	deep  []string // the names of those in top
	moved int
	errs  []error
	more  int
}

// fail notes err and goes on.
func (r *remover) fail(err error) {
	if len(r.errs) < maxErrors {
		r.errs = append(r.errs, err)
	} else {
		r.more++
	}
}

// remove deletes the tree name in dir.
func (r *remover) remove(dir *os.File, name string) {
	err := unlink(dir, name, 0)
	if errors.Is(err, unix.EISDIR) {
		err = unlink(dir, name, unix.AT_REMOVEDIR)
	}
	if err == nil {
		return
	}
	if !errors.Is(err, unix.ENOTEMPTY) {
		r.fail(err)
		return
	}
	r.emptied(dir, name, 1)
}

// directory deletes the directory name in dir.
func (r *remover) directory(dir *os.File, name string, depth int) {
	if depth >= maxDepth {
		r.moveUp(dir, name)
		return
	}
	r.emptied(dir, name, depth+1)
}

// emptied deletes all that is in the directory name in dir, then the directory itself. Names may be skipped while a
// directory changes, so it goes through it again as long as it is not empty and that finds something to delete.
func (r *remover) emptied(dir *os.File, name string, depth int) {
	for again := true; again; {
		before := len(r.errs) + r.more
		seen, err := r.attempt(dir, name, depth)
		again = seen > 0 && errors.Is(err, unix.ENOTEMPTY) && len(r.errs)+r.more == before && r.ctx.Err() == nil
		if err != nil && !again && len(r.errs)+r.more == before { // else what is left has been reported
			r.fail(err)
		}
	}
}

// attempt goes through the directory once and returns how many names it saw. The directory is closed before it is
// deleted, so that its inode goes with its name.
func (r *remover) attempt(dir *os.File, name string, depth int) (seen int, err error) {
	d, err := openDir(dir, name)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if subvolume.Is(d) {
		gone, err := r.subvolume(dir, d, name)
		if gone || err != nil {
			return 0, errors.Join(err, d.Close())
		}
		if depth > 1 { // nothing can be renamed out of it
			return 0, errors.Join(d.Close(), r.inner(dir, name))
		}
	}
	if depth == 1 {
		r.top = d
	}
	seen = r.pass(d, depth)
	for depth == 1 && len(r.deep) > 0 && r.ctx.Err() == nil {
		last := r.deep[len(r.deep)-1]
		r.deep = r.deep[:len(r.deep)-1]
		r.directory(d, last, depth)
	}
	if err := d.Close(); err != nil {
		return seen, err
	}
	return seen, unlink(dir, name, unix.AT_REMOVEDIR)
}

// pass goes through d once and returns how many names it saw.
func (r *remover) pass(d *os.File, depth int) (seen int) {
	for {
		if err := r.ctx.Err(); err != nil {
			r.fail(err)
			return seen
		}
		entries, err := d.ReadDir(batch)
		seen += len(entries)
		for _, e := range entries {
			if e.IsDir() {
				r.directory(d, e.Name(), depth)
			} else {
				r.entry(d, e.Name(), depth)
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, os.ErrNotExist) {
			return seen
		}
		if err != nil {
			r.fail(err)
			return seen
		}
	}
}

// entry deletes name in d, whatever it is.
func (r *remover) entry(d *os.File, name string, depth int) {
	err := unlink(d, name, 0)
	if errors.Is(err, unix.EISDIR) {
		r.directory(d, name, depth)
	} else if err != nil {
		r.fail(err)
	}
}

// moveUp moves a directory that lies too deep into the top one, from where it is deleted later.
func (r *remover) moveUp(dir *os.File, name string) {
	for {
		r.moved++
		to := fmt.Sprintf(".deep-%d", r.moved)
		err := unix.Renameat2(int(dir.Fd()), name, int(r.top.Fd()), to, unix.RENAME_NOREPLACE)
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err != nil {
			r.fail(entryError("rename", dir, name, err))
			return
		}
		r.deep = append(r.deep, to)
		return
	}
}

// unlink is unlinkat(2). A name that is gone is no error.
func unlink(dir *os.File, name string, flags int) error {
	err := unix.Unlinkat(int(dir.Fd()), name, flags)
	if errors.Is(err, unix.EPERM) && makeMutable(dir, name) {
		err = unix.Unlinkat(int(dir.Fd()), name, flags)
	}
	switch {
	case err == nil || errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EBUSY):
		err = errMounted
	}
	return entryError("unlink", dir, name, err)
}

// makeMutable clears the flags of name and of dir for which the kernel refuses to delete it, and
// reports whether there were any.
func makeMutable(dir *os.File, name string) bool {
	cleared := clearFlags(int(dir.Fd()))
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return cleared // a device or a link has no flags
	}
	defer unix.Close(fd)
	return clearFlags(fd) || cleared
}

// clearFlags makes the file fd neither immutable nor append-only, and reports whether it was.
func clearFlags(fd int) bool {
	const fixed = 0x10 | 0x20 // FS_IMMUTABLE_FL, FS_APPEND_FL
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if err != nil || flags&fixed == 0 {
		return false
	}
	return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags&^fixed) == nil
}
