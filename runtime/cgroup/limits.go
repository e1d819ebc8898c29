package cgroup

import (
	"fmt"
	"math"
	"strconv"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// settings collects what is written; v1 and v2 have the two forms of a limit.
type settings struct {
	unified bool
	list    []setting
}

func (s *settings) add(v1, v2, value string) {
	file := v1
	if s.unified {
		file = v2
	}
	s.list = append(s.list, setting{file: file, value: value})
}

// number formats a limit, of which every negative one means none.
func (s *settings) number(n int64) string {
	switch {
	case n >= 0:
		return strconv.FormatInt(n, 10)
	case s.unified:
		return "max"
	}
	return "-1"
}

// onlyV1 is the error of a limit that v2 has dropped.
func onlyV1(what string) error {
	return fmt.Errorf("%s exists with cgroup v1 only: %w", what, errdefs.ErrNotImplemented)
}

// memoryLimits ignores limits of kernel memory, which the specification has withdrawn.
func memoryLimits(r *specs.LinuxResources, unified bool) ([]setting, error) {
	m := r.Memory
	if m == nil {
		return nil, nil
	}
	s := &settings{unified: unified}
	if set(m.Limit) {
		s.add("memory.limit_in_bytes", "memory.max", s.number(*m.Limit))
	}
	if err := s.swap(m); err != nil {
		return nil, err
	}
	if set(m.Reservation) {
		s.add("memory.soft_limit_in_bytes", "memory.low", s.number(*m.Reservation))
	}
	if m.Swappiness != nil {
		if unified {
			return nil, onlyV1("swappiness of a container")
		}
		s.add("memory.swappiness", "", strconv.FormatUint(*m.Swappiness, 10))
	}
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		if unified {
			return nil, onlyV1("a container without OOM killer")
		}
		s.add("memory.oom_control", "", "1")
	}
	return s.list, nil
}

// swap sets the limit of memory and swap together. A kernel that does not count swap cannot hold it; that is no error
// when it is twice the memory, which is Docker's default and says that nobody asked for it.
func (s *settings) swap(m *specs.LinuxMemory) error {
	if !set(m.Swap) {
		return nil
	}
	swap := *m.Swap
	if s.unified && swap >= 0 { // v2 counts swap apart
		if !set(m.Limit) || *m.Limit < 0 {
			return fmt.Errorf("limit of memory and swap %d without one of memory: %w", swap, errdefs.ErrInvalidArgument)
		}
		if swap -= *m.Limit; swap < 0 {
			return fmt.Errorf("limit of memory and swap %d below that of memory %d: %w", *m.Swap, *m.Limit,
				errdefs.ErrInvalidArgument)
		}
	}
	s.add("memory.memsw.limit_in_bytes", "memory.swap.max", s.number(swap))
	s.list[len(s.list)-1].optional = swap < 0 || set(m.Limit) && *m.Swap == 2**m.Limit
	return nil
}

// set says whether a limit is given: 0 means that it is not.
func set(n *int64) bool { return n != nil && *n != 0 }

func cpuLimits(r *specs.LinuxResources, unified bool) ([]setting, error) {
	c := r.CPU
	if c == nil {
		return nil, nil
	}
	s := &settings{unified: unified}
	if c.Idle != nil {
		s.add("cpu.idle", "cpu.idle", strconv.FormatInt(*c.Idle, 10))
	}
	if c.Shares != nil && *c.Shares != 0 {
		if unified {
			s.add("", "cpu.weight", strconv.FormatUint(weight(*c.Shares), 10))
		} else {
			s.add("cpu.shares", "", strconv.FormatUint(*c.Shares, 10))
		}
	}
	s.bandwidth(c)
	if c.Burst != nil {
		s.add("cpu.cfs_burst_us", "cpu.max.burst", strconv.FormatUint(*c.Burst, 10))
	}
	if c.RealtimePeriod != nil && *c.RealtimePeriod != 0 {
		s.add("cpu.rt_period_us", "", strconv.FormatUint(*c.RealtimePeriod, 10))
	}
	if set(c.RealtimeRuntime) {
		s.add("cpu.rt_runtime_us", "", strconv.FormatInt(*c.RealtimeRuntime, 10))
	}
	if unified && (set(c.RealtimeRuntime) || c.RealtimePeriod != nil && *c.RealtimePeriod != 0) {
		return nil, onlyV1("a real-time limit")
	}
	return s.list, nil
}

func (s *settings) bandwidth(c *specs.LinuxCPU) {
	period, quota := uint64(0), int64(0)
	if c.Period != nil {
		period = *c.Period
	}
	if c.Quota != nil {
		quota = *c.Quota
	}
	if s.unified {
		if period == 0 && quota == 0 {
			return
		}
		value := "max"
		if quota > 0 {
			value = strconv.FormatInt(quota, 10)
		}
		if period != 0 {
			value += " " + strconv.FormatUint(period, 10)
		}
		s.add("", "cpu.max", value)
		return
	}
	if period != 0 {
		s.add("cpu.cfs_period_us", "", strconv.FormatUint(period, 10))
	}
	if quota != 0 {
		s.add("cpu.cfs_quota_us", "", s.number(quota))
	}
}

// weight turns v1's shares, 2 to 262144 with the default 1024, into v2's weight, 1 to 10000 with the default 100. It is
// the curve through these three points that runc and crun agreed on: 10^((l²+125l)/612 − 7/34) with l = log2(shares).
func weight(shares uint64) uint64 {
	if shares <= 2 {
		return 1
	}
	if shares >= 1<<18 {
		return 10000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}

func pidsLimits(r *specs.LinuxResources, _ bool) ([]setting, error) {
	if r.Pids == nil || !set(r.Pids.Limit) {
		return nil, nil
	}
	value := "max"
	if *r.Pids.Limit > 0 {
		value = strconv.FormatInt(*r.Pids.Limit, 10)
	}
	return []setting{{file: "pids.max", value: value}}, nil
}

func hugetlbLimits(r *specs.LinuxResources, unified bool) ([]setting, error) {
	s := &settings{unified: unified}
	for _, l := range r.HugepageLimits {
		value := strconv.FormatUint(l.Limit, 10)
		s.add("hugetlb."+l.Pagesize+".limit_in_bytes", "hugetlb."+l.Pagesize+".max", value)
		s.add("hugetlb."+l.Pagesize+".rsvd.limit_in_bytes", "hugetlb."+l.Pagesize+".rsvd.max", value)
		s.list[len(s.list)-1].optional = true // Linux 5.7
	}
	return s.list, nil
}
