package cgroup

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Unused returns the names, sorted, of the groups directly below parent in which there is no process in any hierarchy, and that
// were made longer than age ago: one that is just being made has none yet.
func (h *Hierarchy) Unused(parent string, age time.Duration) ([]string, error) {
	used := map[string]bool{}
	for _, m := range h.mounts {
		entries, err := os.ReadDir(m.Mountpoint + parent)
		if err != nil && !absent(err) {
			return nil, err
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil || !e.IsDir() { // it has just gone, or is a file of parent
				continue
			}
			pids, err := pidsBelow(nil, filepath.Join(m.Mountpoint, parent, e.Name()))
			if err != nil {
				return nil, err
			}
			used[e.Name()] = used[e.Name()] || len(pids) > 0 || time.Since(info.ModTime()) <= age
		}
	}
	maps.DeleteFunc(used, func(_ string, is bool) bool { return is })
	return slices.Sorted(maps.Keys(used)), nil
}
