package hold_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/runtime/cgroup"
	"github.com/lrun-dev/lrun/runtime/hold"
)

// TestSweepOfNothing: there is no directory, and that costs nothing.
func TestSweepOfNothing(t *testing.T) {
	err := hold.Sweep(t.TempDir(), func(string) (*cgroup.Group, error) {
		t.Error("a group is asked for")
		return nil, nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestFreeze freezes a process, which Sweep leaves alone while the freezer lives and lets go on when it was killed.
func TestFreeze(t *testing.T) {
	testutil.RequireRoot(t)
	hierarchy, err := cgroup.Detect()
	if err != nil {
		t.Fatal(err)
	}
	name := "/lrun-hold-test-" + strconv.Itoa(os.Getpid())
	group, err := hierarchy.Create(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := group.Kill(); err != nil {
			t.Error(err)
		}
		if err := group.Remove(); err != nil {
			t.Error(err)
		}
	})
	work := exec.Command("sh", "-c", "while :; do :; done")
	if err := work.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = work.Process.Kill(); _ = work.Wait() })
	for _, dir := range group.Paths() {
		if err := os.WriteFile(dir+"/cgroup.procs", []byte(strconv.Itoa(work.Process.Pid)), 0); err != nil {
			t.Fatal(err)
		}
	}
	open := func(string) (*cgroup.Group, error) { return hierarchy.Open(name) }
	runs := func() bool {
		before := cpu(t, work.Process.Pid)
		for range 50 {
			time.Sleep(10 * time.Millisecond)
			if cpu(t, work.Process.Pid) > before+2 {
				return true
			}
		}
		return false
	}
	state := t.TempDir()
	dir := filepath.Join(state, "frozen")
	thaw, err := hold.Freeze(state, "id", open)
	if err != nil {
		t.Fatal(err)
	}
	if err := hold.Sweep(state, open); err != nil || runs() {
		t.Errorf("it runs while it is held, %v", err)
	}
	if err := thaw(); err != nil || !runs() {
		t.Errorf("it does not go on: %v", err)
	}
	if _, err := hold.Freeze(t.TempDir(), "id", open); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/id", nil, 0o600); err != nil { // as a killed process leaves it
		t.Fatal(err)
	}
	if err := hold.Sweep(state, open); err != nil || !runs() {
		t.Errorf("it does not go on: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// TestGone: a container that has ended before somebody holds it, while it is held, or while a killed lrun held it, is
// in nobody's way.
func TestGone(t *testing.T) {
	testutil.RequireRoot(t)
	hierarchy, err := cgroup.Detect()
	if err != nil {
		t.Fatal(err)
	}
	name := "/lrun-hold-gone-" + strconv.Itoa(os.Getpid())
	open := func(string) (*cgroup.Group, error) { return hierarchy.Open(name) }
	state := t.TempDir()
	file := filepath.Join(state, "frozen", "id")
	if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o700), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := hold.Sweep(state, open); err != nil {
		t.Errorf("sweep: %v", err)
	}
	ended := func(string) (*cgroup.Group, error) { // after it was opened
		if _, err := hierarchy.Create(name, nil); err != nil {
			return nil, err
		}
		g, err := open("")
		return g, errors.Join(err, g.Remove())
	}
	for when, open := range map[string]func(string) (*cgroup.Group, error){"before": open, "meanwhile": ended} {
		thaw, err := hold.Freeze(state, "id", open)
		if err == nil {
			err = thaw()
		}
		if err != nil {
			t.Errorf("it has ended %s: %v", when, err)
		}
	}
	if _, err := hierarchy.Create(name, nil); err != nil {
		t.Fatal(err)
	}
	thaw, err := hold.Freeze(state, "id", open)
	if err != nil {
		t.Fatal(err)
	}
	g, err := open("")
	if err := errors.Join(err, g.Remove(), thaw()); err != nil {
		t.Errorf("it has ended while it was held: %v", err)
	}
	if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

// cpu is the time that a process has used, in ticks.
func cpu(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.Fields(string(b))[13])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
