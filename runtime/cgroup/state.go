package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Pids returns, sorted, every process in the group and in the groups below it; none when the group is gone. Where there
// are several hierarchies v2 and one of v1 are asked, because a program may have left one of them.
func (g *Group) Pids() ([]int, error) {
	var pids []int
	for _, dir := range []string{g.unified(), g.counted()} {
		if dir == "" {
			continue
		}
		var err error
		if pids, err = pidsBelow(pids, dir); err != nil {
			return nil, err
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids), nil
}

// counted returns the group's directory in one v1 hierarchy, one that a container cannot do without if possible.
func (g *Group) counted() string {
	for _, controller := range []string{"pids", "devices", "memory"} {
		if dir, unified := g.with(controller); dir != "" && !unified {
			return dir
		}
	}
	for _, m := range g.mounts {
		if !m.Unified {
			return m.path()
		}
	}
	return ""
}

func pidsBelow(pids []int, dir string) ([]int, error) {
	text, err := os.ReadFile(dir + "/cgroup.procs")
	if absent(err) || errors.Is(err, unix.EOPNOTSUPP) { // gone, or threaded: then the group above has them
		return pids, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list processes of cgroup: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("list processes of cgroup %s: %w", dir, err)
		}
		if pid != 0 { // of a process namespace that cannot be seen from here
			pids = append(pids, pid)
		}
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil || st.Nlink == 2 { // gone, or no group below
		return pids, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !absent(err) {
		return nil, fmt.Errorf("list groups below cgroup: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() {
			if pids, err = pidsBelow(pids, filepath.Join(dir, e.Name())); err != nil {
				return nil, err
			}
		}
	}
	return pids, nil
}

// absent says whether a group, or a file in it, is not there or just going.
func absent(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) }

// OOMKilled says whether the kernel has killed a process of the group because the group was out of memory. The answer
// goes with the group; where memory is not counted, or the group is gone, it is no.
func (g *Group) OOMKilled() (bool, error) {
	dir, unified := g.with("memory")
	if dir == "" {
		return false, nil
	}
	file := dir + "/memory.oom_control"
	if unified {
		file = dir + "/memory.events"
	}
	text, err := read(file)
	if absent(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, line := range lines(text) {
		if count, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return count != "0", nil
		}
	}
	return false, nil
}

func lines(text string) []string { return strings.Split(text, "\n") }
