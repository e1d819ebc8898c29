package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Of v2 this host may hold little: what is only formatting is tried on directories that look like it.

// fake makes a file tree below a temporary directory and returns it as a v2 hierarchy with the group /lrun/a.
func fake(t *testing.T, files map[string]string) Mount {
	t.Helper()
	m := Mount{Mountpoint: t.TempDir(), Unified: true, Controllers: []string{"cpu", "memory", "pids", "cpuset"}, Dir: "/lrun/a"}
	for name, content := range files {
		path := filepath.Join(m.Mountpoint, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func TestControllersAreHandedDown(t *testing.T) {
	files := map[string]string{
		"cgroup.subtree_control": "", "lrun/cgroup.subtree_control": "", "lrun/a/cgroup.subtree_control": "",
	}
	for name, c := range map[string]struct {
		needed []string
		want   string // the last that is written above the group
	}{
		"memory for its numbers":   {nil, "+memory"},
		"cpuset because it limits": {[]string{"cpu", "cpuset"}, "+cpuset"},
		"not hugetlb":              {[]string{"hugetlb"}, "+memory"},
	} {
		t.Run(name, func(t *testing.T) {
			m := fake(t, files)
			if err := enableControllers(m, []string{"cpu", "pids"}, c.needed); err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{"", "/lrun"} {
				got, err := read(m.Mountpoint + file + "/cgroup.subtree_control")
				if err != nil || got[:min(len(got), len(c.want))] != c.want {
					t.Errorf("%s: %q, %v; want %q", file, got, err, c.want)
				}
			}
			if got, err := read(m.path() + "/cgroup.subtree_control"); got != "" || err != nil {
				t.Errorf("in the group itself: %q, %v", got, err)
			}
		})
	}
}

func TestControllersThatCannotBeHad(t *testing.T) {
	m := fake(t, map[string]string{"lrun/a/cgroup.subtree_control": ""})
	if err := enableControllers(m, nil, nil); err != nil {
		t.Errorf("that nobody needs: %v", err)
	}
	err := enableControllers(m, nil, []string{"pids"})
	if !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "controller pids in "+m.Mountpoint+":") {
		t.Errorf("that is needed: %v", err)
	}
}

func TestOutOfMemory(t *testing.T) {
	for name, c := range map[string]struct {
		unified bool
		file    string
		content string
		want    bool
	}{
		"v2":         {true, "memory.events", "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0\n", true},
		"v2 at most": {true, "memory.events", "low 0\nhigh 0\nmax 7\noom 3\noom_kill 0\noom_group_kill 1\n", false},
		"v1":         {false, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", true},
		"v1 never":   {false, "memory.oom_control", "oom_kill_disable 0\nunder_oom 1\noom_kill 0\n", false},
		"old":        {false, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			m := fake(t, map[string]string{"lrun/a/" + c.file: c.content})
			m.Unified = c.unified
			if got, err := (&Group{mounts: []Mount{m}}).OOMKilled(); got != c.want || err != nil {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// mustLimit is the v2 hierarchy of h; the test is skipped where that has no controller that is refused beside processes.
func mustLimit(t *testing.T, h *Hierarchy) Mount {
	t.Helper()
	i, unified := h.find(controller{v1: "hugetlb", v2: "hugetlb"})
	if i < 0 || !unified {
		t.Skip("no controller that only limits is in v2 here")
	}
	return h.mounts[i]
}

// A group whose parent has processes cannot have controllers, in v2.
func TestProcessesAboveAreNamed(t *testing.T) {
	h := detected(t)
	mustLimit(t, h)
	above, err := h.Create(parent, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer remove(t, above)
	start(t, above, "sleep").line(t)
	g, err := h.Create(parent+"/below", &specs.LinuxResources{HugepageLimits: hugepages(h)})
	if g != nil || !errors.Is(err, errdefs.ErrFailedPrecondition) || !strings.Contains(err.Error(), "processes are in that group") {
		t.Errorf("got %v, %v", g, err)
	}
}

// Who was moved by another lrun that makes room helps with that: processes may be in the topmost group yet.
func TestRoomIsMadeByWhoWasMoved(t *testing.T) {
	h := detected(t)
	v2 := mustLimit(t, h)
	top, err := h.Create(parent, &specs.LinuxResources{HugepageLimits: hugepages(h)}) // so that it has the controller
	if err != nil {
		t.Fatal(err)
	}
	defer remove(t, top)
	start(t, top, "sleep").line(t)
	root := v2.Mountpoint + parent
	inside := parse([]byte("30 23 0:27 / "+root+" rw - cgroup2 cgroup2 rw\n"), []byte("0::/init\n"))
	inside.mounts[0].Controllers = v2.Controllers
	g, err := inside.Create("/below", &specs.LinuxResources{HugepageLimits: hugepages(h)})
	if err != nil {
		t.Fatal(err)
	}
	remove(t, g)
	if pids, err := (&Group{mounts: []Mount{{Mountpoint: root, Dir: "/init", Unified: true}}}).Pids(); len(pids) != 1 || err != nil {
		t.Errorf("moved: %v, %v", pids, err)
	}
}

// A group whose parent has processes has no controllers, in v2, but it holds processes.
func TestProcessesAboveAreNoHindrance(t *testing.T) {
	h := detected(t)
	above, err := h.Create(parent, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer remove(t, above)
	start(t, above, "sleep").line(t)
	g, err := h.Create(parent+"/below", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer remove(t, g)
	start(t, g, "sleep").line(t)
}

func TestJoinWhatIsGone(t *testing.T) {
	v1, v2 := fake(t, nil), fake(t, nil)
	v1.Unified = false
	if files, err := (&Group{mounts: []Mount{v1}}).JoinFiles(); files != nil || !errors.Is(err, unix.ENOENT) {
		t.Errorf("v1: %v, %v", files, err)
	}
	if f, err := (&Group{mounts: []Mount{v2}}).FD(); f != nil || !errors.Is(err, unix.ENOENT) {
		t.Errorf("v2: %v, %v", f, err)
	}
	if f, err := (&Group{mounts: []Mount{v1}}).FD(); f != nil || err != nil {
		t.Errorf("v2 where there is none: %v, %v", f, err)
	}
}
