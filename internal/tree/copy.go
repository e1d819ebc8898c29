package tree

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Copy makes the directory dst, which must not exist, as a copy of the directory src and all below
// it: bytes, holes, hard links within the tree, owners, modes, extended attributes with capabilities
// and access lists, times in nanoseconds, devices and FIFOs. Sockets are left out. Bytes are shared
// where the filesystem can (FICLONE). src must not change meanwhile; where something is mounted in
// it, Copy fails. After an error dst is half there. Nothing is synced.
//
// It opens two descriptors for each level of the tree.
func Copy(ctx context.Context, dst, src string) (err error) {
	from, err := openTop(src)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if err := os.Mkdir(dst, 0o700); err != nil {
		return err
	}
	to, err := openTop(dst)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if err := dropACLs(to); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	c := &copier{ctx: ctx, fail: stop, root: to, links: map[inode]string{}, slots: make(chan struct{}, workers())}
	c.slots <- struct{}{}
	c.directory(to, from, "")
	return context.Cause(ctx)
}

// workers is how many directories are copied at once. More than two only wait for each other in the
// journal of one filesystem.
func workers() int { return min(2, runtime.GOMAXPROCS(0)) }

// copier copies one tree.
type copier struct {
	ctx     context.Context
	fail    context.CancelCauseFunc // the first error stops all
	root    *os.File
	noClone atomic.Bool // the filesystem has no FICLONE

	slots chan struct{} // one element for each goroutine at work

	mu    sync.Mutex
	links map[inode]string // files of src with several names: the first name of the copy
}

// directory copies what is in from, then what from itself is: the entries change its times. path is
// its name in the tree, empty or ending in a slash.
func (c *copier) directory(to, from *os.File, path string) {
	names, err := from.Readdirnames(-1)
	if err != nil {
		c.fail(err)
		return
	}
	var others sync.WaitGroup
	for _, name := range names {
		if c.ctx.Err() != nil {
			break
		}
		if err := c.entry(to, from, path, name, &others); err != nil {
			c.fail(err)
		}
	}
	<-c.slots // while waiting somebody else may work
	others.Wait()
	c.slots <- struct{}{}
	var st unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &st); err != nil {
		c.fail(entryError("stat", from, ".", err))
		return
	}
	if err := copyMeta(int(to.Fd()), int(from.Fd()), &st, to, "."); err != nil {
		c.fail(err)
	}
}

// entry copies name. A directory goes to another goroutine, which others waits for, when a slot is free.
func (c *copier) entry(to, from *os.File, path, name string, others *sync.WaitGroup) error {
	var st unix.Stat_t
	if err := unix.Fstatat(int(from.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT); err != nil {
		return entryError("stat", from, name, err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return c.subdirectory(to, from, path, name, &st, others)
	case unix.S_IFSOCK:
		return nil
	}
	if st.Nlink > 1 {
		return c.linked(to, from, path, name, &st)
	}
	return c.file(to, from, name, &st)
}

// subdirectory copies a directory, here or in another goroutine.
func (c *copier) subdirectory(to, from *os.File, path, name string, st *unix.Stat_t, others *sync.WaitGroup) error {
	src, err := openDir(from, name)
	if err != nil {
		return err
	}
	if err := unix.Mkdirat(int(to.Fd()), name, st.Mode&0o777|0o700); err != nil {
		return errors.Join(entryError("mkdir", to, name, err), src.Close())
	}
	dst, err := openDir(to, name)
	if err != nil {
		return errors.Join(err, src.Close())
	}
	work := func() {
		c.directory(dst, src, path+name+"/")
		if err := errors.Join(src.Close(), dst.Close()); err != nil {
			c.fail(err)
		}
	}
	select {
	case c.slots <- struct{}{}:
		others.Go(func() { work(); <-c.slots })
	default:
		work()
	}
	return nil
}

// linked copies the first name of an inode that has several, and links the others to it. The lock is
// held until the first one is there to be linked.
func (c *copier) linked(to, from *os.File, path, name string, st *unix.Stat_t) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	first, ok := c.links[inodeOf(st)]
	if !ok {
		c.links[inodeOf(st)] = path + name
		return c.file(to, from, name, st)
	}
	if err := unix.Linkat(int(c.root.Fd()), first, int(to.Fd()), name, 0); err != nil {
		return entryError("link "+first+" as", to, name, err)
	}
	return nil
}

// file copies what is not a directory.
func (c *copier) file(to, from *os.File, name string, st *unix.Stat_t) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return c.regular(to, from, name, st)
	case unix.S_IFLNK:
		target, err := readlink(from, name)
		if err != nil {
			return err
		}
		if err := unix.Symlinkat(target, int(to.Fd()), name); err != nil {
			return entryError("symlink", to, name, err)
		}
	default:
		if err := unix.Mknodat(int(to.Fd()), name, st.Mode, int(st.Rdev)); err != nil {
			return entryError("mknod", to, name, err)
		}
	}
	return copyNodeMeta(to, from, name, st)
}

// readlink reads the target of name in dir.
func readlink(dir *os.File, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(dir.Fd()), name, buf)
	if err != nil {
		return "", entryError("readlink", dir, name, err)
	}
	return string(buf[:n]), nil
}

// regular copies a file with its metadata. It has its mode at once, since nobody comes through the root of the copy yet.
func (c *copier) regular(to, from *os.File, name string, st *unix.Stat_t) error {
	src, err := unix.Openat(int(from.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOATIME|unix.O_CLOEXEC, 0)
	if err != nil {
		return entryError("open", from, name, err)
	}
	defer unix.Close(src)
	dst, err := unix.Openat(int(to.Fd()), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, st.Mode&0o777)
	if err != nil {
		return entryError("create", to, name, err)
	}
	err = c.content(dst, src, st)
	if err != nil {
		err = &fs.PathError{Op: "copy", Path: from.Name() + "/" + name, Err: err}
	} else {
		err = copyMeta(dst, src, st, to, name)
	}
	return errors.Join(err, unix.Close(dst))
}
