package cgroup

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func cpusetLimits(r *specs.LinuxResources, unified bool) ([]setting, error) {
	s := &settings{unified: unified}
	if r.CPU != nil && r.CPU.Cpus != "" {
		s.add("cpuset.cpus", "cpuset.cpus", r.CPU.Cpus)
	}
	if r.CPU != nil && r.CPU.Mems != "" {
		s.add("cpuset.mems", "cpuset.mems", r.CPU.Mems)
	}
	return s.list, nil
}

// checkCpusets refuses CPUs and nodes that are not here. v1 would say EACCES, and v2 would take others silently.
func (h *Hierarchy) checkCpusets(p *plan) error {
	for i, list := range p.settings {
		for _, s := range list {
			if s.file != "cpuset.cpus" && s.file != "cpuset.mems" {
				continue
			}
			file := h.mounts[i].Mountpoint + "/" + s.file
			if h.mounts[i].Unified {
				file += ".effective"
			}
			text, err := read(file)
			if err != nil {
				return err
			}
			if err := s.within(text); err != nil {
				return err
			}
		}
	}
	return nil
}

// within refuses a list of numbers that has others than those of all.
func (s setting) within(all string) error {
	have, err := numbers(all)
	if err != nil {
		return err
	}
	want, err := numbers(s.value)
	if err != nil {
		return err
	}
	for _, n := range slices.Sorted(maps.Keys(want)) {
		if !have[n] {
			return fmt.Errorf("set %s to %q: there is no %d here, only %s: %w", s.file, s.value, n, all, errdefs.ErrInvalidArgument)
		}
	}
	return nil
}

// numbers reads a list such as 0-2,7 (cpuset(7), "List format").
func numbers(list string) (map[uint64]bool, error) {
	set := map[uint64]bool{}
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err := strconv.ParseUint(from, 10, 16)
		last, lastErr := strconv.ParseUint(to, 10, 16)
		if err != nil || lastErr != nil || last < first {
			return nil, fmt.Errorf("%q is not a list of numbers and ranges such as 0-2,7: %w", list, errdefs.ErrInvalidArgument)
		}
		for n := first; n <= last; n++ {
			set[n] = true
		}
	}
	return set, nil
}
