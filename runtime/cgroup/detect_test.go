package cgroup

import (
	"reflect"
	"strings"
	"testing"

	"github.com/lrun-dev/lrun/internal/testutil"
)

func TestParse(t *testing.T) {
	const (
		v1 = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:31 / /sys/fs/cgroup/memory rw shared:9 master:4 - cgroup cgroup rw,memory
34 31 0:32 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/lib/systemd/x,name=systemd
`
		v2     = "35 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
		nested = `40 31 0:30 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct
41 31 0:31 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
`
		own = "3:name=systemd:/user.slice/1\n2:cpu,cpuacct:/\n1:memory:/lrun/a:b\n0::/init.scope\n"
	)
	cpu := Mount{Mountpoint: "/sys/fs/cgroup/cpu,cpuacct", Controllers: []string{"cpu", "cpuacct"}, atRoot: true, root: "/"}
	memory := Mount{Mountpoint: "/sys/fs/cgroup/memory", Controllers: []string{"memory"}, root: "/"}
	systemd := Mount{Mountpoint: "/sys/fs/cgroup/systemd", Controllers: []string{"name=systemd"}, root: "/"}
	for name, c := range map[string]struct {
		mountinfo, own string
		want           []Mount
	}{
		"nothing": {"", own, nil},
		"v1":      {v1, strings.Replace(own, "0::/init.scope\n", "", 1), []Mount{cpu, memory, systemd}},
		"hybrid": {
			v1 + v2, own,
			[]Mount{cpu, memory, systemd, {Mountpoint: "/sys/fs/cgroup/unified", Unified: true, root: "/"}},
		},
		"v2": {
			"30 23 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n", "0::/\n",
			[]Mount{{Mountpoint: "/sys/fs/cgroup", Unified: true, atRoot: true, root: "/"}},
		},
		"v2, moved by another that makes room": {
			"30 23 0:27 /docker/abc /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n", "0::/docker/abc/init\n",
			[]Mount{{Mountpoint: "/sys/fs/cgroup", Unified: true, atRoot: true, root: "/docker/abc"}},
		},
		"v1 has nothing to make room for": {
			nested, "1:memory:/docker/abc/init\n",
			[]Mount{{Mountpoint: memory.Mountpoint, Controllers: memory.Controllers, root: "/docker/abc"}},
		},
		"in a container of v1": {
			nested, "2:cpu,cpuacct:/docker/abc\n1:memory:/docker/abc/x\n",
			[]Mount{
				{
					Mountpoint: cpu.Mountpoint, Controllers: cpu.Controllers, atRoot: true,
					root: "/docker/abc",
				},
				{Mountpoint: memory.Mountpoint, Controllers: memory.Controllers, root: "/docker/abc"},
			},
		},
		"the most of a hierarchy that is mounted twice": {
			nested + v1, strings.Replace(own, "0::/init.scope\n", "", 1), []Mount{cpu, memory, systemd},
		},
		"a mount point with a space": {
			`30 23 0:27 /\134a /mnt/c\040g\011 rw - cgroup2 none rw` + "\n", "0::/\\a\n",
			[]Mount{{Mountpoint: "/mnt/c g\t", Unified: true, atRoot: true, root: `/\a`}},
		},
		"v2 without membership":        {"30 23 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "1:cpu:/\n", nil},
		"a controller nobody knows of": {"30 23 0:27 / /x rw - cgroup cgroup rw,net_cls\n", own, nil},
		"damaged lines": {
			"30 - cgroup\n - cgroup2 x y\n1 2 3 4 5 6 - cgroupfs x y\n1 2 3 / /x 6 - cgroup2\n", own + "x\n:\n::\n", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := parse([]byte(c.mountinfo), []byte(c.own)).Mounts(); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestDetectFindsEveryControllerOfThisProcess(t *testing.T) {
	h, err := Detect()
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Mounts()) == 0 {
		testutil.Missing(t, "a cgroup hierarchy")
	}
	for _, m := range h.Mounts() {
		if !strings.HasPrefix(m.Mountpoint, "/") || m.Dir != "" || !m.Unified && len(m.Controllers) == 0 {
			t.Errorf("%+v", m)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("30 23 0:27 / /a\\040b rw - cgroup2 cgroup2 rw\n"), []byte("0::/\n"))
	f.Add([]byte("32 31 0:30 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n"), []byte("1:cpu:/a\n"))
	f.Add([]byte(`1 2 3 / \1 \ - cgroup2 \04 \0400`), []byte(":::\n0:"))
	f.Fuzz(func(t *testing.T, mountinfo, own []byte) {
		seen := map[string]bool{}
		for _, m := range parse(mountinfo, own).Mounts() {
			key := strings.Join(m.Controllers, ",")
			if seen[key] || m.Unified != (len(m.Controllers) == 0) || m.Mountpoint == "" {
				t.Errorf("%+v", m)
			}
			seen[key] = true
		}
	})
}

func BenchmarkDetect(b *testing.B) {
	for b.Loop() {
		if _, err := Detect(); err != nil {
			b.Fatal(err)
		}
	}
}
