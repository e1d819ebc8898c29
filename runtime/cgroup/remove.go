package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// patience is how long Remove waits for dying processes to leave a group.
const patience = time.Second

// Remove deletes the group and every group below it. What is gone is no error. Processes that were killed a moment ago
// may still be leaving, so it tries again for up to a second; then a group with processes is
// errdefs.ErrFailedPrecondition.
func (g *Group) Remove() error { return g.removeFor(patience) }

// End is Kill and Remove, over and over as long as there are processes in one of its hierarchies: one that is just entering the
// group is not in all. What is not empty after ten seconds is errdefs.ErrFailedPrecondition.
func (g *Group) End() error {
	err := errors.Join(g.Kill(), g.removeFor(patience/20))
	for deadline := time.Now().Add(killPatience); errors.Is(err, errdefs.ErrFailedPrecondition) && time.Now().Before(deadline); {
		err = nil
		for _, m := range g.mounts {
			alone := &Group{mounts: []Mount{m}}
			err = errors.Join(err, alone.Kill(), alone.removeFor(patience/20))
		}
	}
	return err
}

func (g *Group) removeFor(patience time.Duration) error {
	var errs []error
	deadline := time.Now().Add(patience)
	for _, m := range g.mounts {
		pause := 200 * time.Microsecond
		err := removeTree(m.path())
		for errors.Is(err, errdefs.ErrFailedPrecondition) && time.Now().Before(deadline) {
			time.Sleep(pause)
			pause = min(2*pause, 20*time.Millisecond)
			err = removeTree(m.path())
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// removeTree removes a group and all below it, whose names the container may have chosen.
func removeTree(path string) error {
	parent, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err == nil {
		err = errors.Join(removeAt(parent, filepath.Base(path)), unix.Close(parent))
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("remove cgroup %s: it has processes: %w", path, errdefs.ErrFailedPrecondition)
	}
	return fmt.Errorf("remove cgroup %s: %w", path, err)
}

func removeAt(parent int, name string) error {
	err := unix.Unlinkat(parent, name, unix.AT_REMOVEDIR)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if !errors.Is(err, unix.EBUSY) { // it has processes, or groups below
		return err
	}
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), name)
	entries, err := dir.ReadDir(-1)
	for _, e := range entries {
		if err == nil && e.IsDir() {
			err = removeAt(fd, e.Name())
		}
	}
	if err = errors.Join(err, dir.Close()); err != nil {
		return err
	}
	if err = unix.Unlinkat(parent, name, unix.AT_REMOVEDIR); errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
