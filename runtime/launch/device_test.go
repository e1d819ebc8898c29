package launch_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/runtime/launch"
	"github.com/lrun-dev/lrun/runtime/spec"
)

func withHost(t *testing.T, s spec.Settings) launch.Request {
	t.Helper()
	host, err := spec.FindHost(s)
	if err != nil {
		t.Fatal(err)
	}
	c, err := spec.New(s, spec.Facts{Bounding: 1<<41 - 1&^(1<<24), Host: host, Devices: spec.DefaultDevices()})
	if err != nil {
		t.Fatal(err)
	}
	return launch.Request{Spec: c}
}

// An image cannot lead a node, or the writing of a sysctl, out of the container by its links.
func TestLinksRedirectNoDevice(t *testing.T) {
	testutil.RequireRoot(t)
	outside := t.TempDir()
	dir, _ := busyboxRoot(t)
	for name, target := range map[string]string{"out": outside, "up": "../../../../../.." + outside, "node": filepath.Join(outside, "node")} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/out/zero", "/up/zero", "/node"} {
		s := spec.Settings{Args: []string{"true"}, Env: []string{"PATH=/bin"}, Devices: spec.Devices{Nodes: []spec.Device{{Host: "/dev/zero", Path: path, Access: "r"}}}}
		r := withHost(t, s)
		r.Root = reopen(t, dir)
		_, _, _, err := run(t, r, "")
		if path == "/node" && (err == nil || !strings.Contains(err.Error(), "something else there")) {
			t.Errorf("%s: %v", path, err)
		}
		if made, rerr := os.ReadDir(outside); rerr != nil || len(made) > 0 {
			t.Errorf("%s: made outside: %v, %v", path, made, rerr)
		}
	}
}

// What is below a tmpfs is made before it becomes read-only.
func TestReadOnlyTmpfsHoldsWhatIsBelow(t *testing.T) {
	testutil.RequireRoot(t)
	s := spec.Settings{
		Args: []string{"sh", "-c", "ls /t; pwd; touch /t/in/x; touch /t/x || grep -c '^tmpfs /t tmpfs ro,' /proc/mounts"}, Env: []string{"PATH=/bin"}, Cwd: "/t/work",
		Mounts:  []spec.Mount{{Type: "tmpfs", Target: "/t", Options: []string{"ro"}}, {Type: "tmpfs", Target: "/t/in"}},
		Devices: spec.Devices{Nodes: []spec.Device{{Host: "/dev/zero", Path: "/t/zero", Access: "r"}}},
	}
	r := withHost(t, s)
	_, r.Root = busyboxRoot(t)
	if out, stderr, code, err := run(t, r, ""); err != nil || out != "in\nwork\nzero\n/t/work\n1\n" || !strings.Contains(stderr, "Read-only") {
		t.Errorf("got %q, %q, %d, %v", out, stderr, code, err)
	}
}
