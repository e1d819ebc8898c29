package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func create(t testing.TB, h *Hierarchy, name string, r *specs.LinuxResources) *Group {
	t.Helper()
	g, err := h.Create(parent+"/"+name, r)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func remove(t testing.TB, g *Group) {
	t.Helper()
	if err := errors.Join(g.Kill(), g.Remove()); err != nil {
		t.Error(err)
	}
}

// dirs returns the directories of a group that exist.
func dirs(t *testing.T, h *Hierarchy, name string) []string {
	t.Helper()
	g, err := h.Open(parent + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range g.Mounts() {
		out = append(out, m.path())
	}
	return out
}

func TestCreateAndRemove(t *testing.T) {
	h := detected(t)
	g := create(t, h, "a", nil)
	made := dirs(t, h, "a")
	if len(made) == 0 || len(made) != len(g.Mounts()) {
		t.Errorf("made %q, says %+v", made, g.Mounts())
	}
	paths := g.Paths()
	for _, controller := range []string{"memory", "pids", "devices"} {
		if dir, ok := paths[controller]; ok && !slices.Contains(made, dir) {
			t.Errorf("%s is said to be in %s", controller, dir)
		}
	}
	if _, unified := paths[""]; unified != (h.unified() != nil) {
		t.Errorf("v2 path: %q", paths)
	}
	if pids, err := g.Pids(); err != nil || len(pids) != 0 {
		t.Errorf("new group has %v, %v", pids, err)
	}
	for range 2 { // gone is no error
		if err := g.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	if left := dirs(t, h, "a"); len(left) != 0 {
		t.Errorf("left %q", left)
	}
	if err := g.Kill(); err != nil {
		t.Errorf("kill what is gone: %v", err)
	}
	if oom, err := g.OOMKilled(); oom || err != nil {
		t.Errorf("out of memory of what is gone: %v, %v", oom, err)
	}
}

func TestPathsThatAreNoGroup(t *testing.T) {
	h := &Hierarchy{}
	for _, path := range []string{"", "/", "a", "/a/../..", "/..", "/a/", "//a", "/a/./b"} {
		if _, err := h.Create(path, nil); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("create %q: %v", path, err)
		}
		if _, err := h.Open(path); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("open %q: %v", path, err)
		}
	}
}

func TestLimitsReachTheKernel(t *testing.T) {
	h := detected(t)
	g := create(t, h, "limits", &specs.LinuxResources{
		Memory:         &specs.LinuxMemory{Limit: new(int64(64 << 20)), Swap: new(int64(64 << 20)), Reservation: new(int64(32 << 20))},
		CPU:            &specs.LinuxCPU{Shares: new(uint64(512)), Quota: new(int64(50000)), Period: new(uint64(100000)), Cpus: "0"},
		Pids:           &specs.LinuxPids{Limit: new(int64(17))},
		HugepageLimits: hugepages(h),
	})
	defer remove(t, g)
	for _, want := range []struct{ controller, v1, v2 string }{
		{"memory", "memory.limit_in_bytes=67108864", "memory.max=67108864"},
		{"memory", "memory.memsw.limit_in_bytes=67108864", "memory.swap.max=0"},
		{"memory", "memory.soft_limit_in_bytes=33554432", "memory.low=33554432"},
		{"cpu", "cpu.shares=512", "cpu.weight=59"},
		{"cpu", "cpu.cfs_quota_us=50000", "cpu.max=50000 100000"},
		{"cpuset", "cpuset.cpus=0", "cpuset.cpus=0"},
		{"cpuset", "cpuset.mems=0", ""},
		{"pids", "pids.max=17", "pids.max=17"},
		{"hugetlb", "hugetlb.2MB.limit_in_bytes=4194304", "hugetlb.2MB.max=4194304"},
	} {
		dir, unified := g.with(want.controller)
		line := want.v1
		if unified {
			line = want.v2
		}
		file, value, _ := strings.Cut(line, "=")
		if dir == "" || file == "" {
			continue
		}
		if got, err := read(dir + "/" + file); err != nil || got != value {
			t.Errorf("%s/%s is %q, %v; want %q", dir, file, got, err, value)
		}
	}
	c := start(t, g, "sleep")
	if c.line(t) != "ready" {
		t.Error("a process does not live in the group")
	}
}

func hugepages(h *Hierarchy) []specs.LinuxHugepageLimit {
	if i, _ := h.find(controller{v1: "hugetlb", v2: "hugetlb"}); i < 0 {
		return nil
	}
	return []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}
}

func TestCreateUndoesWhatItMade(t *testing.T) {
	h := detected(t)
	for name, c := range map[string]struct {
		r    specs.LinuxResources
		is   error
		says string
	}{
		"refused value": {specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "7000"}}, errdefs.ErrInvalidArgument, `cpuset.cpus to "7000"`},
		"no such file":  {specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "3MB"}}}, errdefs.ErrNotImplemented, "hugetlb.3MB"},
		"device rule": {
			specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{deviceRule(true, "u", 1, 1, "r")}}, errdefs.ErrInvalidArgument, `type "u"`,
		},
		"quota": {specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: new(int64(1))}}, errdefs.ErrInvalidArgument, `to "1"`},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := h.Create(parent+"/undone", &c.r)
			if g != nil || !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, %v; want %v naming %q", g, err, c.is, c.says)
			}
			if left := dirs(t, h, "undone"); len(left) != 0 {
				t.Errorf("left %q", left)
			}
		})
	}
}

func TestCreateOverLeftovers(t *testing.T) {
	h := detected(t)
	old := create(t, h, "old", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: new(int64(3))}})
	if err := os.MkdirAll(filepath.Join(old.Mounts()[0].path(), "sub", "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	g := create(t, h, "old", nil)
	if dir, _ := g.with("pids"); dir != "" {
		if got, err := read(dir + "/pids.max"); got != "max" || err != nil {
			t.Errorf("the old limit is still there: %q, %v", got, err)
		}
	}
	c := start(t, g, "sleep")
	c.line(t)
	if _, err := h.Create(parent+"/old", nil); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("over a group in use: %v", err)
	}
	if pids, err := g.Pids(); err != nil || len(pids) == 0 {
		t.Errorf("its process is gone: %v, %v", pids, err)
	}
	remove(t, g)
}

func TestJoinByThreadAndClone(t *testing.T) {
	h := detected(t)
	g := create(t, h, "join", nil)
	defer remove(t, g)
	files, err := g.JoinFiles()
	if err != nil {
		t.Fatal(err)
	}
	words := []string{"tasks"}
	v1 := 0
	for i, f := range files {
		defer f.Close()
		words = append(words, fmt.Sprint(3+i))
	}
	for _, m := range g.Mounts() {
		if !m.Unified {
			v1++
		}
	}
	if len(files) != v1 {
		t.Errorf("%d tasks files for %d hierarchies", len(files), v1)
	}
	if len(files) == 0 {
		files = []*os.File{os.Stdin}
	}
	c := start(t, g, strings.Join(words, " "), files...)
	in := map[string]string{}
	for {
		line, err := c.out.ReadString('\n')
		if err != nil {
			break
		}
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		in[f[1]] = f[2]
	}
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, m := range g.Mounts() {
		controllers := strings.Join(m.Controllers, ",")
		if m.Unified {
			controllers = ""
		}
		if got := in[controllers]; !strings.HasSuffix(got, parent+"/join") {
			t.Errorf("%s: process is in %q", m.path(), got)
		}
	}
}

func TestRemoveGroupsOfTheContainer(t *testing.T) {
	h := detected(t)
	g := create(t, h, "deep", nil)
	for _, m := range g.Mounts() {
		for _, sub := range []string{"a/b/c", "a/d", "e f/" + strings.Repeat("g", 100)} {
			if err := os.MkdirAll(filepath.Join(m.path(), sub), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := start(t, g, "sleep")
	c.line(t)
	dir := g.unified()
	if dir == "" {
		dir = g.counted()
	}
	below := filepath.Join(dir, "a/b/c/cgroup.procs")
	if err := os.WriteFile(below, []byte(fmt.Sprint(c.Process.Pid)), 0); err != nil {
		t.Fatal(err)
	}
	if pids, err := g.Pids(); err != nil || !slices.Equal(pids, []int{c.Process.Pid}) {
		t.Errorf("processes %v, %v", pids, err)
	}
	if err := g.Remove(); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("with a process: %v", err)
	}
	remove(t, g)
	if left := dirs(t, h, "deep"); len(left) != 0 {
		t.Errorf("left %q", left)
	}
}

// Groups of new parents, for which somebody has to hand the controllers down, while others find them half handed down.
func TestManyAtOnce(t *testing.T) {
	h := detected(t)
	limits := &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0"}, HugepageLimits: hugepages(h), Devices: dockers()}
	for round := range 20 {
		errs := make(chan error)
		for i := range 16 {
			go func() {
				g, err := h.Create(fmt.Sprintf("%s/r%d/p%d/many%d", parent, round, i%2, i), limits)
				if err == nil {
					err = g.Remove()
				}
				errs <- err
			}()
		}
		for range 16 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		g, err := h.Open(fmt.Sprintf("%s/r%d", parent, round))
		if err != nil {
			t.Fatal(err)
		}
		remove(t, g)
	}
}

func BenchmarkCreateRemove(b *testing.B) {
	h := detected(b)
	limit := int64(512 << 20)
	warm := create(b, h, "warm", nil)
	defer remove(b, warm)
	for name, r := range map[string]*specs.LinuxResources{
		"plain":  {Devices: dockers()},
		"cpuset": {Devices: dockers(), CPU: &specs.LinuxCPU{Cpus: "0"}},
		"limited": {
			Devices: dockers(), Memory: &specs.LinuxMemory{Limit: &limit, Swap: &limit}, Pids: &specs.LinuxPids{Limit: new(int64(1000))},
			CPU: &specs.LinuxCPU{Quota: new(int64(100000)), Period: new(uint64(100000))},
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				g := create(b, h, "bench", r)
				if err := g.Remove(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
