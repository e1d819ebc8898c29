// Package flock locks files and directories between processes with flock(2). The kernel drops a
// lock when its holder dies, so a lock that can be had means that nobody is at work.
package flock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// ErrBusy is returned by TryExclusive when somebody else holds the lock; it is an errdefs.ErrFailedPrecondition.
var ErrBusy = fmt.Errorf("locked by another process: %w", errdefs.ErrFailedPrecondition)

// Lock is one lock that is held. It belongs to its descriptor: two locks of one path exclude each
// other within one process too, and the descriptor is not inherited by programs that are executed.
// A Lock that nothing refers to any more is closed by the garbage collector: keep it until Unlock.
type Lock struct{ f *os.File }

// Exclusive waits until nobody else holds a lock of path, and returns it. A path that does not exist
// becomes an empty file of mode 0600, which nobody sees before it is locked, unless the filesystem knows no file without a name;
// its directory must exist. When the call returns, path is the
// locked inode: if it was renamed or removed while waiting, the new one is locked instead. A
// directory that was removed while waiting is fs.ErrNotExist.
func Exclusive(path string) (*Lock, error) { return wait(path, unix.LOCK_EX) }

// ExclusiveUntil is Exclusive that ends with the cause of ctx when that ends.
func ExclusiveUntil(ctx context.Context, path string) (*Lock, error) {
	l, err := ExclusiveNow(path)
	if !errors.Is(err, ErrBusy) {
		return l, err
	}
	got := make(chan func() (*Lock, error), 1)
	go func() {
		l, err := Exclusive(path)
		got <- func() (*Lock, error) { return l, err }
	}()
	select {
	case result := <-got:
		return result()
	case <-ctx.Done():
		go func() {
			if l, err := (<-got)(); err == nil {
				_ = l.Unlock()
			}
		}()
		return nil, fmt.Errorf("wait for the lock of %q: %w", path, context.Cause(ctx))
	}
}

// ExclusiveNow is Exclusive that does not wait: ErrBusy when somebody else holds a lock of path.
func ExclusiveNow(path string) (*Lock, error) { return wait(path, unix.LOCK_EX|unix.LOCK_NB) }

// Shared is like Exclusive, but any number of shared locks exist together.
func Shared(path string) (*Lock, error) { return wait(path, unix.LOCK_SH) }

// TryExclusive locks path if that is possible at once, else returns ErrBusy. It creates nothing: a
// path that is missing, or goes missing meanwhile, is fs.ErrNotExist.
func TryExclusive(path string) (*Lock, error) {
	for {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		l, err := lock(f, path, unix.LOCK_EX|unix.LOCK_NB)
		if l != nil || err != nil {
			return l, err
		}
	}
}

// Unlock releases the lock and closes its descriptor. A second call is fs.ErrClosed.
func (l *Lock) Unlock() error {
	// An explicit unlock, because a child that was forked but has not executed yet shares the descriptor.
	if fd := l.f.Fd(); fd != ^uintptr(0) {
		if err := flock(fd, unix.LOCK_UN); err != nil {
			return errors.Join(fmt.Errorf("unlock %q: %w", l.f.Name(), err), l.f.Close())
		}
	}
	return l.f.Close()
}

// File is the locked file or directory, opened for reading. It belongs to the lock: do not close it.
func (l *Lock) File() *os.File { return l.f }

// wait locks path with how, as often as path changes under it.
func wait(path string, how int) (*Lock, error) {
	flags := os.O_RDONLY
	for {
		f, err := os.OpenFile(path, flags, 0o600)
		switch {
		case errors.Is(err, fs.ErrNotExist) && flags == os.O_RDONLY:
			l, err := create(path, how)
			if err == nil {
				return l, nil
			}
			if _, linkErr := os.Readlink(path); linkErr == nil || !errors.Is(err, fs.ErrExist) {
				flags |= os.O_CREATE
			}
			continue
		case errors.Is(err, unix.EISDIR): // made as a directory meanwhile
			flags = os.O_RDONLY
			continue
		case err != nil:
			return nil, err
		}
		fi, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		l, err := lock(f, path, how)
		if l != nil || err != nil {
			return l, err
		}
		if fi.IsDir() { // never make a file where a directory was
			flags = os.O_RDONLY | unix.O_DIRECTORY
		}
	}
}

// create makes the file path, locked from the first: one that is there unlocked for a moment looks like that of a process that was
// killed. One that is there is fs.ErrExist, another error that the filesystem has no files without a name.
func create(path string, how int) (*Lock, error) {
	fd, err := unix.Open(filepath.Dir(path), unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	if err = flock(f.Fd(), how); err == nil {
		err = unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Lock{f: f}, nil
}

// lock locks f, which it owns. It returns nothing at all when path is no longer f.
func lock(f *os.File, path string, how int) (*Lock, error) {
	err := flock(f.Fd(), how)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("lock %q: %w", path, ErrBusy), f.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %q: %w", path, err), f.Close())
	}
	same, err := isFile(f, path)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if !same {
		return nil, f.Close()
	}
	return &Lock{f: f}, nil
}

// isFile reports whether path is f now.
func isFile(f *os.File, path string) (bool, error) {
	held, err := f.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(held, now), err
}

// flock is flock(2), again after signals: Go's own preemption signal interrupts the wait.
func flock(fd uintptr, how int) error {
	for {
		if err := unix.Flock(int(fd), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
