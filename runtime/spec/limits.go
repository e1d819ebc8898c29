package spec

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Limits are those of the container's cgroup; zero means no limit, or what the kernel gives everybody.
type Limits struct {
	Memory      int64   `json:"memory,omitempty"`            // bytes
	Swap        int64   `json:"memorySwap,omitempty"`        // bytes of memory and swap together; -1: no limit; 0: twice Memory
	Reservation int64   `json:"memoryReservation,omitempty"` // bytes
	Swappiness  *uint64 `json:"memorySwappiness,omitempty"`  // 0 to 100
	NoOOMKill   bool    `json:"oomKillDisable,omitempty"`

	NanoCPUs   int64  `json:"nanoCPUs,omitempty"` // 1e9 is one CPU; excludes CPUPeriod and CPUQuota
	CPUPeriod  uint64 `json:"cpuPeriod,omitempty"`
	CPUQuota   int64  `json:"cpuQuota,omitempty"` // both in microseconds
	CPUShares  uint64 `json:"cpuShares,omitempty"`
	CpusetCPUs string `json:"cpusetCPUs,omitempty"` // like 0-2,7
	CpusetMems string `json:"cpusetMems,omitempty"`

	Pids int64 `json:"pids,omitempty"`
	Disk int64 `json:"disk,omitempty"` // bytes of the container's own files; the snapshot says how

	BlkioWeight  uint16       `json:"blkioWeight,omitempty"` // 10 to 1000
	DeviceWeight []DeviceRate `json:"blkioWeightDevice,omitempty"`
	ReadBps      []DeviceRate `json:"deviceReadBps,omitempty"`
	WriteBps     []DeviceRate `json:"deviceWriteBps,omitempty"`
	ReadIOps     []DeviceRate `json:"deviceReadIOps,omitempty"`
	WriteIOps    []DeviceRate `json:"deviceWriteIOps,omitempty"`
}

// DeviceRate is a number for one of the host's block devices.
type DeviceRate struct {
	Path string `json:"path"`
	Rate uint64 `json:"rate"`
}

// Resources are the limits of the container's cgroup. found is what FindHost answered.
func Resources(s Settings, found Host) *specs.LinuxResources {
	l := s.Limits
	r := &specs.LinuxResources{Devices: append(deviceRules(s.Privileged), found.rules...), Memory: memory(l), CPU: cpu(l), BlockIO: found.blockIO}
	if l.Pids > 0 {
		r.Pids = &specs.LinuxPids{Limit: &l.Pids}
	}
	return r
}

// memory has Docker's default for swap: as much again as memory.
func memory(l Limits) *specs.LinuxMemory {
	if l.Memory == 0 && l.Swap == 0 && l.Reservation == 0 && l.Swappiness == nil && !l.NoOOMKill {
		return nil
	}
	m := &specs.LinuxMemory{Swappiness: l.Swappiness, Limit: given(l.Memory), Swap: given(l.Swap), Reservation: given(l.Reservation)}
	if l.Memory > 0 && l.Swap == 0 {
		m.Swap = given(2 * l.Memory)
	}
	if l.NoOOMKill {
		m.DisableOOMKiller = &l.NoOOMKill
	}
	return m
}

func cpu(l Limits) *specs.LinuxCPU {
	if l.NanoCPUs > 0 {
		l.CPUPeriod, l.CPUQuota = 100_000, l.NanoCPUs/10_000
	}
	if l.CPUPeriod == 0 && l.CPUQuota == 0 && l.CPUShares == 0 && l.CpusetCPUs == "" && l.CpusetMems == "" {
		return nil
	}
	return &specs.LinuxCPU{
		Period: given(l.CPUPeriod), Quota: given(l.CPUQuota), Shares: given(l.CPUShares), Cpus: l.CpusetCPUs, Mems: l.CpusetMems,
	}
}

// given is nil for zero, which means in a configuration what leaving it out means.
func given[T int64 | uint64 | uint16](n T) *T {
	if n == 0 {
		return nil
	}
	return &n
}
