package cgroup

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// plan says in which hierarchies a group is made and what is written there, by the index of the hierarchy.
type plan struct {
	wanted   map[int]bool
	settings map[int][]setting
	needed   []string // v2 controllers that have a setting
}

// controller is one kind of limit: under its v1 and its v2 name.
type controller struct {
	v1, v2 string
	limits func(r *specs.LinuxResources, unified bool) ([]setting, error)
}

func controllers() []controller {
	return []controller{
		{"cpuset", "cpuset", cpusetLimits},
		{"cpu", "cpu", cpuLimits},
		{"memory", "memory", memoryLimits},
		{"pids", "pids", pidsLimits},
		{"blkio", "io", ioLimits},
		{"hugetlb", "hugetlb", hugetlbLimits},
	}
}

// plan places every limit of r with the controller that holds it.
func (h *Hierarchy) plan(r *specs.LinuxResources) (*plan, error) {
	p := &plan{wanted: map[int]bool{}, settings: map[int][]setting{}}
	if r.Network != nil || len(r.Rdma) > 0 {
		return nil, fmt.Errorf("limits of network priorities and RDMA: %w", errdefs.ErrNotImplemented)
	}
	for _, c := range controllers() {
		i, unified := h.find(c)
		settings, err := c.limits(r, unified)
		if err != nil {
			return nil, err
		}
		if len(settings) == 0 {
			continue
		}
		if i < 0 {
			return nil, fmt.Errorf("set %s to %q: no cgroup hierarchy has the controller %s: %w",
				settings[0].file, settings[0].value, c.v2, errdefs.ErrNotImplemented)
		}
		p.wanted[i], p.settings[i] = true, append(p.settings[i], settings...)
		if unified {
			p.needed = append(p.needed, c.v2)
		}
	}
	if err := h.planUnified(p, r.Unified); err != nil {
		return nil, err
	}
	// With any limit there is a group in each v1 hierarchy that tells programs of limits: the Java virtual machine looks at none
	// unless it finds them all.
	for i, m := range h.mounts {
		p.wanted[i] = p.wanted[i] || h.always(m) || len(p.settings) > 0 && !m.Unified && m.hasAny("cpu", "cpuacct", "cpuset", "memory", "pids")
	}
	return p, nil
}

// find returns the hierarchy that holds c, or -1.
func (h *Hierarchy) find(c controller) (i int, unified bool) {
	for i, m := range h.mounts {
		if m.Unified && m.has(c.v2) || !m.Unified && m.has(c.v1) {
			return i, m.Unified
		}
	}
	return -1, h.unified() != nil
}

// always says whether a container has a group in m whatever its limits are: v1's memory and devices, and v2, which counts processes
// and their time too.
func (h *Hierarchy) always(m Mount) bool {
	if m.Unified || !m.atRoot || m.hasAny("memory", "devices") || h.all && !strings.HasPrefix(m.Controllers[0], "name=") {
		return true
	}
	return h.unified() == nil && m.hasAny("pids", "cpuacct", "freezer")
}

// planUnified places what the caller writes to v2 files by their names.
func (h *Hierarchy) planUnified(p *plan, files map[string]string) error {
	for _, file := range slices.Sorted(maps.Keys(files)) {
		prefix, _, ok := strings.Cut(file, ".")
		if !ok || strings.Contains(file, "/") {
			return fmt.Errorf("cgroup file %q is not like memory.high: %w", file, errdefs.ErrInvalidArgument)
		}
		i := slices.IndexFunc(h.mounts, func(m Mount) bool { return m.Unified && (prefix == "cgroup" || m.has(prefix)) })
		if i < 0 {
			return fmt.Errorf("set %s to %q: the controller %s is not in a v2 cgroup hierarchy: %w",
				file, files[file], prefix, errdefs.ErrNotImplemented)
		}
		p.wanted[i] = true
		p.settings[i] = append(p.settings[i], setting{file: file, value: files[file]})
		if prefix != "cgroup" {
			p.needed = append(p.needed, prefix)
		}
	}
	return nil
}
