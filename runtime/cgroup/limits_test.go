package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
)

const gib = int64(1 << 30)

// v1Host, v2Host, hybridHost and legacyHost are hierarchies as hosts have them.
func v1Host() *Hierarchy {
	h := &Hierarchy{}
	for _, c := range []string{"cpuset", "cpu,cpuacct", "memory", "pids", "blkio", "hugetlb", "devices", "freezer", "name=systemd"} {
		h.mounts = append(h.mounts, Mount{Mountpoint: "/" + c, Controllers: strings.Split(c, ","), atRoot: true})
	}
	return h
}

func v2Host() *Hierarchy {
	return &Hierarchy{mounts: []Mount{{
		Mountpoint: "/sys", Unified: true, atRoot: true,
		Controllers: []string{"cpuset", "cpu", "io", "memory", "hugetlb", "pids"},
	}}}
}

func hybridHost() *Hierarchy {
	return &Hierarchy{mounts: []Mount{
		{Mountpoint: "/memory", Controllers: []string{"memory"}, atRoot: true},
		{Mountpoint: "/freezer", Controllers: []string{"freezer"}, atRoot: true},
		{Mountpoint: "/cpuset", Controllers: []string{"cpuset"}},
		{Mountpoint: "/unified", Controllers: []string{"hugetlb", "pids"}, Unified: true, atRoot: true},
	}}
}

// legacyHost has all controllers in v1, and v2 without one.
func legacyHost() *Hierarchy {
	h := v1Host()
	h.mounts = append(h.mounts, Mount{Mountpoint: "/unified", Unified: true, atRoot: true})
	return h
}

// planned returns the settings of a plan as lines.
func planned(h *Hierarchy, p *plan) []string {
	var out []string
	for i, m := range h.mounts {
		for _, s := range p.settings[i] {
			line := m.Mountpoint + " " + s.file + "=" + s.value
			if s.otherwise != nil {
				line += " or " + s.otherwise.file + "=" + s.otherwise.value
			}
			if s.optional {
				line += "?"
			}
			out = append(out, line)
		}
	}
	return out
}

func TestLimitsAreWrittenAs(t *testing.T) {
	device := specs.LinuxBlockIODevice{Major: 8, Minor: 16}
	weighted := specs.LinuxWeightDevice{LinuxBlockIODevice: device, Weight: new(uint16(300))}
	throttled := []specs.LinuxThrottleDevice{{LinuxBlockIODevice: device, Rate: 1 << 20}}
	for name, c := range map[string]struct {
		r      specs.LinuxResources
		v1, v2 []string
	}{
		"nothing": {specs.LinuxResources{}, nil, nil},
		"zeros": {
			specs.LinuxResources{
				Memory: &specs.LinuxMemory{Limit: new(int64), Swap: new(int64)}, CPU: &specs.LinuxCPU{Shares: new(uint64)},
				Pids: &specs.LinuxPids{Limit: new(int64)}, BlockIO: &specs.LinuxBlockIO{Weight: new(uint16)},
			}, nil, nil,
		},
		"memory": {
			specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: new(gib), Reservation: new(gib / 2)}},
			[]string{"/memory memory.limit_in_bytes=1073741824", "/memory memory.soft_limit_in_bytes=536870912"},
			[]string{"/sys memory.max=1073741824", "/sys memory.low=536870912"},
		},
		"swap": {
			specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: new(gib), Swap: new(gib + 4096)}},
			[]string{"/memory memory.limit_in_bytes=1073741824", "/memory memory.memsw.limit_in_bytes=1073745920"},
			[]string{"/sys memory.max=1073741824", "/sys memory.swap.max=4096"},
		},
		"no swap": {
			specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: new(gib), Swap: new(gib)}},
			[]string{"/memory memory.limit_in_bytes=1073741824", "/memory memory.memsw.limit_in_bytes=1073741824"},
			[]string{"/sys memory.max=1073741824", "/sys memory.swap.max=0"},
		},
		"swap that nobody asked for": {
			specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: new(gib), Swap: new(2 * gib)}},
			[]string{"/memory memory.limit_in_bytes=1073741824", "/memory memory.memsw.limit_in_bytes=2147483648?"},
			[]string{"/sys memory.max=1073741824", "/sys memory.swap.max=1073741824?"},
		},
		"unlimited": {
			specs.LinuxResources{
				Memory: &specs.LinuxMemory{Limit: new(int64(-1)), Swap: new(int64(-1))},
				Pids:   &specs.LinuxPids{Limit: new(int64(-1))}, CPU: &specs.LinuxCPU{Quota: new(int64(-1))},
			},
			[]string{
				"/cpu,cpuacct cpu.cfs_quota_us=-1", "/memory memory.limit_in_bytes=-1",
				"/memory memory.memsw.limit_in_bytes=-1?", "/pids pids.max=max",
			},
			[]string{"/sys cpu.max=max", "/sys memory.max=max", "/sys memory.swap.max=max?", "/sys pids.max=max"},
		},
		"cpu": {
			specs.LinuxResources{CPU: &specs.LinuxCPU{
				Shares: new(uint64(512)), Quota: new(int64(50000)), Period: new(uint64(100000)), Burst: new(uint64(1000)),
				Cpus: "0-1", Mems: "0", Idle: new(int64(0)),
			}},
			[]string{
				"/cpuset cpuset.cpus=0-1", "/cpuset cpuset.mems=0", "/cpu,cpuacct cpu.idle=0", "/cpu,cpuacct cpu.shares=512",
				"/cpu,cpuacct cpu.cfs_period_us=100000", "/cpu,cpuacct cpu.cfs_quota_us=50000",
				"/cpu,cpuacct cpu.cfs_burst_us=1000",
			},
			[]string{
				"/sys cpuset.cpus=0-1", "/sys cpuset.mems=0", "/sys cpu.idle=0", "/sys cpu.weight=59",
				"/sys cpu.max=50000 100000", "/sys cpu.max.burst=1000",
			},
		},
		"quota alone": {
			specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: new(int64(50000))}},
			[]string{"/cpu,cpuacct cpu.cfs_quota_us=50000"},
			[]string{"/sys cpu.max=50000"},
		},
		"period alone": {
			specs.LinuxResources{CPU: &specs.LinuxCPU{Period: new(uint64(50000))}},
			[]string{"/cpu,cpuacct cpu.cfs_period_us=50000"},
			[]string{"/sys cpu.max=max 50000"},
		},
		"pids": {
			specs.LinuxResources{Pids: &specs.LinuxPids{Limit: new(int64(20))}},
			[]string{"/pids pids.max=20"},
			[]string{"/sys pids.max=20"},
		},
		"block devices": {
			specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{
				Weight: new(uint16(500)), WeightDevice: []specs.LinuxWeightDevice{weighted}, ThrottleReadBpsDevice: throttled,
				ThrottleWriteBpsDevice: throttled, ThrottleReadIOPSDevice: throttled, ThrottleWriteIOPSDevice: throttled,
			}},
			[]string{
				"/blkio blkio.bfq.weight=500 or blkio.weight=500",
				"/blkio blkio.bfq.weight_device=8:16 300 or blkio.weight_device=8:16 300",
				"/blkio blkio.throttle.read_bps_device=8:16 1048576", "/blkio blkio.throttle.write_bps_device=8:16 1048576",
				"/blkio blkio.throttle.read_iops_device=8:16 1048576", "/blkio blkio.throttle.write_iops_device=8:16 1048576",
			},
			[]string{
				"/sys io.bfq.weight=500 or io.weight=4950", "/sys io.bfq.weight=8:16 300 or io.weight=8:16 2930",
				"/sys io.max=8:16 rbps=1048576", "/sys io.max=8:16 wbps=1048576", "/sys io.max=8:16 riops=1048576",
				"/sys io.max=8:16 wiops=1048576",
			},
		},
		"huge pages": {
			specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}},
			[]string{"/hugetlb hugetlb.2MB.limit_in_bytes=4194304", "/hugetlb hugetlb.2MB.rsvd.limit_in_bytes=4194304?"},
			[]string{"/sys hugetlb.2MB.max=4194304", "/sys hugetlb.2MB.rsvd.max=4194304?"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, host := range []struct {
				name string
				h    *Hierarchy
				want []string
			}{{"v1", v1Host(), c.v1}, {"v2", v2Host(), c.v2}} {
				p, err := host.h.plan(&c.r)
				if err != nil {
					t.Errorf("%s: %v", host.name, err)
				} else if got := planned(host.h, p); !reflect.DeepEqual(got, host.want) {
					t.Errorf("%s: got  %q\nwant %q", host.name, got, host.want)
				}
			}
		})
	}
}

func TestLimitsOfOneVersion(t *testing.T) {
	for name, c := range map[string]struct {
		r      specs.LinuxResources
		v1, v2 string // settings, or the error
	}{
		"swappiness": {
			specs.LinuxResources{Memory: &specs.LinuxMemory{Swappiness: new(uint64(10))}},
			"/memory memory.swappiness=10", "with cgroup v1 only",
		},
		"oom": {
			specs.LinuxResources{Memory: &specs.LinuxMemory{DisableOOMKiller: new(true)}},
			"/memory memory.oom_control=1", "with cgroup v1 only",
		},
		"oom kept": {specs.LinuxResources{Memory: &specs.LinuxMemory{DisableOOMKiller: new(false)}}, "", ""},
		"real time": {
			specs.LinuxResources{CPU: &specs.LinuxCPU{RealtimePeriod: new(uint64(9)), RealtimeRuntime: new(int64(8))}},
			"/cpu,cpuacct cpu.rt_period_us=9 /cpu,cpuacct cpu.rt_runtime_us=8", "with cgroup v1 only",
		},
		"by name": {
			specs.LinuxResources{Unified: map[string]string{"memory.high": "5", "cgroup.max.depth": "2"}},
			"not in a v2 cgroup hierarchy", "/sys cgroup.max.depth=2 /sys memory.high=5",
		},
		"of no controller": {
			specs.LinuxResources{Unified: map[string]string{"rdma.max": "5"}},
			"rdma is not in a v2", "rdma is not in a v2",
		},
		"leaf weight": {
			specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{LeafWeight: new(uint16(5))}},
			"leaf weight", "leaf weight",
		},
		"leaf weight of a device": {
			specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{WeightDevice: []specs.LinuxWeightDevice{{LeafWeight: new(uint16(5))}}}},
			"leaf weight", "leaf weight",
		},
		"network": {specs.LinuxResources{Network: &specs.LinuxNetwork{}}, "network priorities", "network priorities"},
		"rdma":    {specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"x": {}}}, "RDMA", "RDMA"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, host := range []struct {
				name, want string
				h          *Hierarchy
			}{{"v1", c.v1, v1Host()}, {"v2", c.v2, v2Host()}} {
				p, err := host.h.plan(&c.r)
				var got string
				if err == nil {
					got = strings.Join(planned(host.h, p), " ")
				} else if got = err.Error(); !errors.Is(err, errdefs.ErrNotImplemented) {
					t.Errorf("%s: %v is not of class unsupported", host.name, err)
				}
				if !strings.Contains(got, host.want) || host.want == "" && got != "" {
					t.Errorf("%s: got %q, want %q", host.name, got, host.want)
				}
			}
		})
	}
}

func TestInvalidLimits(t *testing.T) {
	for name, r := range map[string]specs.LinuxResources{
		"path as a file":     {Unified: map[string]string{"../memory.max": "1"}},
		"no controller":      {Unified: map[string]string{"memory": "1"}},
		"swap below memory":  {Memory: &specs.LinuxMemory{Limit: new(gib), Swap: new(gib - 1)}},
		"swap and no memory": {Memory: &specs.LinuxMemory{Swap: new(gib)}},
	} {
		if _, err := v2Host().plan(&r); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestLimitsOnHybridGoWhereTheirControllersAre(t *testing.T) {
	h := hybridHost()
	p, err := h.plan(&specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: new(gib)}, Pids: &specs.LinuxPids{Limit: new(int64(5))},
		HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB"}}, Unified: map[string]string{"pids.max": "6"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"/memory memory.limit_in_bytes=1073741824", "/unified pids.max=5", "/unified hugetlb.2MB.max=0",
		"/unified hugetlb.2MB.rsvd.max=0?", "/unified pids.max=6",
	}
	if got := planned(h, p); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if want := []string{"pids", "hugetlb", "pids"}; !reflect.DeepEqual(p.needed, want) {
		t.Errorf("needs %q, want %q", p.needed, want)
	}
	// Not in freezer: v2 freezes. In cpuset, because lrun is in a group there whose limits are not the container's.
	if want := map[int]bool{0: true, 1: false, 2: true, 3: true}; !reflect.DeepEqual(p.wanted, want) {
		t.Errorf("makes groups in %v, want %v", p.wanted, want)
	}
	_, err = h.plan(&specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: new(uint64(5))}})
	if !errors.Is(err, errdefs.ErrNotImplemented) || !strings.Contains(err.Error(), "controller cpu") {
		t.Errorf("cpu is nowhere: got %v", err)
	}
	_, err = h.plan(&specs.LinuxResources{Unified: map[string]string{"memory.high": "6"}})
	if !errors.Is(err, errdefs.ErrNotImplemented) {
		t.Errorf("memory is in v1: got %v", err)
	}
}

func TestGroupsThatEveryContainerHas(t *testing.T) {
	for name, c := range map[string]struct {
		h    *Hierarchy
		r    specs.LinuxResources
		want string
	}{
		"v1": {v1Host(), specs.LinuxResources{}, "/cpu,cpuacct /memory /pids /devices /freezer"}, "v2": {v2Host(), specs.LinuxResources{}, "/sys"},
		"hybrid": {hybridHost(), specs.LinuxResources{}, "/memory /cpuset /unified"}, "none": {&Hierarchy{}, specs.LinuxResources{}, ""},
		"v1 with v2 for processes": {legacyHost(), specs.LinuxResources{}, "/memory /devices /unified"},
		"and a limit":              {legacyHost(), specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: new(int64(1 << 24))}}, "/cpuset /cpu,cpuacct /memory /pids /devices /unified"},
		"v2 and a limit":           {v2Host(), specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: new(int64(1 << 24))}}, "/sys"},
	} {
		p, err := c.h.plan(&c.r)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i, m := range c.h.mounts {
			if p.wanted[i] {
				got = append(got, m.Mountpoint)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestWeight(t *testing.T) {
	for shares, want := range map[uint64]uint64{0: 1, 2: 1, 3: 2, 512: 59, 1024: 100, 2048: 174, 1 << 18: 10000, 1 << 40: 10000} {
		if got := weight(shares); got != want {
			t.Errorf("weight of %d shares: %d, want %d", shares, got, want)
		}
	}
}

func TestSettingApply(t *testing.T) {
	dir := t.TempDir()
	for _, file := range []string{"there", "second"} {
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		s    setting
		file string
		is   error
	}{
		"there":            {setting{file: "there", value: "1"}, "there", nil},
		"second choice":    {setting{file: "first", value: "1", otherwise: &setting{file: "second", value: "1"}}, "second", nil},
		"missing":          {setting{file: "missing", value: "1"}, "", errdefs.ErrNotImplemented},
		"neither":          {setting{file: "first", value: "1", otherwise: &setting{file: "x", value: "1"}}, "", errdefs.ErrNotImplemented},
		"missing optional": {setting{file: "missing", value: "1", optional: true}, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.s.apply(dir)
			if !errors.Is(err, c.is) || err != nil && !strings.Contains(err.Error(), `to "1"`) {
				t.Fatalf("got %v, want %v", err, c.is)
			}
			if c.file != "" {
				if got, err := read(filepath.Join(dir, c.file)); err != nil || got != "1" {
					t.Errorf("%s holds %q, %v", c.file, got, err)
				}
			}
		})
	}
}
