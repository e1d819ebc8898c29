package cgroup

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime/cgroup/delegate"
)

// makeGroup makes the directory of m, which must be new, and its parents. needed are the v2 controllers that it must
// have.
func makeGroup(m Mount, needed []string) error {
	var enabled []string
	if m.Unified {
		var err error
		if enabled, err = delegate.HandedDown(m.Mountpoint, filepath.Dir(m.Dir)); err != nil {
			return err
		}
	}
	err := makeNew(m)
	if errors.Is(err, unix.EEXIST) { // left by a run that died
		if err := removeTree(m.path()); err != nil {
			return err
		}
		err = makeNew(m)
	}
	switch {
	case err != nil:
		return fmt.Errorf("create cgroup %s: %w", m.path(), err)
	case m.Unified:
		return enableControllers(m, enabled, needed)
	case m.has("cpuset"):
		return inheritCpuset(m.Mountpoint, m.Dir)
	}
	return nil
}

// makeNew makes the directory of m, and its parents when they are missing.
func makeNew(m Mount) error {
	err := unix.Mkdir(m.path(), 0o755)
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	parent := m
	parent.Dir = filepath.Dir(m.Dir)
	if parent.Dir == "/" {
		return err // the hierarchy is not mounted there any more
	}
	if err := makeNew(parent); err == nil && m.has("memory") && !m.Unified {
		// Before Linux 5.11, what a container puts into groups of its own is counted only so; later it always is.
		_ = write(parent.path()+"/memory.use_hierarchy", "1")
	} else if err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return unix.Mkdir(m.path(), 0o755)
}

// inheritCpuset fills what v1 leaves empty in a new group, and without which no process may enter, with the parent's.
func inheritCpuset(mountpoint, dir string) error {
	if dir == "/" {
		return nil
	}
	parent := filepath.Dir(dir)
	for _, file := range []string{"/cpuset.cpus", "/cpuset.mems"} {
		value, err := read(mountpoint + parent + file)
		if err == nil && value == "" { // made by somebody who has not come that far yet
			if err = inheritCpuset(mountpoint, parent); err == nil {
				value, err = read(mountpoint + parent + file)
			}
		}
		if err != nil {
			return err
		}
		if err := write(mountpoint+dir+file, value); err != nil {
			return fmt.Errorf("set %s%s%s to %q: %w", mountpoint, dir, file, value, err)
		}
	}
	return nil
}

// enableControllers makes controllers of m's hierarchy available in m that are not enabled, from the top downwards: the
// needed ones, else it fails, and those that count what the container uses, if they can be had.
//
// Where there are processes in a group above, none can, unless it is that of a container which lrun is in: these processes then
// move to a group of their own. The kernel would still hand down those that count threads, but then
// no process could enter m: so one that it refuses comes first, and after a refusal nothing more is tried.
func enableControllers(m Mount, enabled, needed []string) error {
	wanted := append([]string{"memory", "io", "pids", "cpu"}, needed...)
	if len(needed) > 0 && m.atRoot {
		if err := delegate.MakeRoom(m.Mountpoint, wanted); err != nil {
			return err
		}
	}
	busy := ""
	for _, c := range wanted {
		if !m.has(c) || slices.Contains(enabled, c) {
			continue
		}
		dir, err := busy, error(unix.EBUSY)
		if busy == "" {
			dir, err = delegate.HandDown(m.Mountpoint, m.Dir, c)
		}
		if errors.Is(err, unix.EBUSY) {
			busy = dir
			err = fmt.Errorf("processes are in that group itself, and have to move to one below it: %w", errdefs.ErrFailedPrecondition)
		}
		if err == nil {
			enabled = append(enabled, c)
		} else if slices.Contains(needed, c) {
			return fmt.Errorf("enable cgroup controller %s in %s: %w", c, dir, err)
		}
	}
	return nil
}
