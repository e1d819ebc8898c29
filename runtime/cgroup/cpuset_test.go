package cgroup

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestNumbers(t *testing.T) {
	for list, want := range map[string][]uint64{"0": {0}, "0-2,7": {0, 1, 2, 7}, "1,1,0-1": {0, 1}, "3-3": {3}} {
		if got, err := numbers(list); err != nil || !slices.Equal(slices.Sorted(maps.Keys(got)), want) {
			t.Errorf("numbers(%q) = %v, %v", list, got, err)
		}
	}
	for _, list := range []string{"", ",", "a", "1-", "-1", "2-1", "1 ", "70000", "0-4294967295", "1:2"} {
		if got, err := numbers(list); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("numbers(%q) = %v, %v", list, got, err)
		}
	}
}

func FuzzNumbers(f *testing.F) {
	for _, s := range []string{"0-2,7", "1-", "2-1", "", "65535", "0x1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := numbers(s)
		if (err == nil) != (len(got) > 0) || len(got) > 1<<16 {
			t.Errorf("%q: %d numbers, %v", s, len(got), err)
		}
	})
}

// CPUs that are not there are named, on v1 and on v2, which would run the container on others.
func TestCpusetsThatAreNotHere(t *testing.T) {
	for name, unified := range map[string]bool{"v1": false, "v2": true} {
		t.Run(name, func(t *testing.T) {
			m := fake(t, map[string]string{
				"cpuset.cpus": "0-3\n", "cpuset.mems": "0\n", "cpuset.cpus.effective": "0-3\n", "cpuset.mems.effective": "0\n",
			})
			m.Unified, m.Dir = unified, ""
			h := &Hierarchy{mounts: []Mount{m}}
			for _, c := range []struct{ cpus, mems, lacking string }{
				{"0-3", "0", ""}, {"1,3", "", ""}, {"3-4", "", "no 4 here, only 0-3"}, {"", "1", "no 1 here, only 0"},
			} {
				p, err := h.plan(&specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: c.cpus, Mems: c.mems}})
				if err != nil {
					t.Fatal(err)
				}
				err = h.checkCpusets(p)
				if c.lacking == "" && err != nil || c.lacking != "" && (!errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), c.lacking)) {
					t.Errorf("%+v: %v", c, err)
				}
			}
		})
	}
}
