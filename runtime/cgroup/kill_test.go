package cgroup

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/lrun-dev/lrun/internal/testutil"
)

func TestPidsLimitStopsForks(t *testing.T) {
	h := detected(t)
	g := create(t, h, "forks", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: new(int64(40))}})
	defer remove(t, g)
	c := start(t, g, "forks")
	var forked int
	var again bool
	if _, err := fmt.Sscan(c.line(t), &forked, &again); err != nil || forked == 0 || forked > 40 || !again {
		t.Errorf("%d processes, refused for want of numbers %v, %v", forked, again, err)
	}
	if pids, err := g.Pids(); err != nil || len(pids) < forked {
		t.Errorf("%d processes are listed, %v", len(pids), err)
	}
}

func TestMemoryLimitKills(t *testing.T) {
	h := detected(t)
	limit := int64(48 << 20)
	for name, c := range map[string]struct {
		behaviour string
		want      bool
	}{"hog": {"hog", true}, "modest": {"open /dev/null", false}} {
		t.Run(name, func(t *testing.T) {
			g := create(t, h, "memory", &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit, Swap: &limit}})
			defer remove(t, g)
			err := start(t, g, c.behaviour).Wait()
			oom, oerr := g.OOMKilled()
			if oom != c.want || oerr != nil || (err != nil) != c.want {
				t.Errorf("out of memory %v, %v; the process ended with %v", oom, oerr, err)
			}
		})
	}
}

func TestKillStopsForkBomb(t *testing.T) {
	h := detected(t)
	for name, hidden := range map[string]func(Mount) bool{
		"all":             func(Mount) bool { return false },
		"without v2":      func(m Mount) bool { return m.Unified },
		"with v1 freezer": func(Mount) bool { return false },
	} {
		t.Run(name, func(t *testing.T) {
			some := &Hierarchy{mounts: slices.DeleteFunc(h.Mounts(), hidden)}
			if name == "with v1 freezer" { // as runc makes it
				for i := range some.mounts {
					some.mounts[i].atRoot = false
				}
			}
			if len(some.mounts) == 0 {
				t.Skip("v2 only")
			}
			g := create(t, some, "bomb", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: new(int64(1000))}})
			defer remove(t, g)
			if said := start(t, g, "bomb").line(t); said != "ready" {
				t.Fatal(said)
			}
			before := grown(t, g, 10)
			began := time.Now()
			if err := g.Kill(); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d processes, each of which forks, are gone after %v", before, time.Since(began))
			if after, err := g.Pids(); err != nil || len(after) != 0 {
				t.Errorf("left %v, %v", after, err)
			}
		})
	}
}

// grown waits until g holds so many processes, and says how many.
func grown(t *testing.T, g *Group, many int) int {
	t.Helper()
	for end := time.Now().Add(testutil.Patience(5 * time.Second)); ; time.Sleep(10 * time.Millisecond) {
		pids, err := g.Pids()
		if err != nil {
			t.Fatal(err)
		}
		if len(pids) >= many {
			return len(pids)
		}
		if time.Now().After(end) {
			t.Fatalf("%d processes: that is no bomb", len(pids))
		}
	}
}

func TestFreezeStopsEverything(t *testing.T) {
	h := detected(t)
	g := create(t, h, "freeze", nil)
	defer remove(t, g)
	c := start(t, g, "count")
	var mu sync.Mutex
	count := 0
	go func() {
		for {
			if _, err := c.out.ReadString('\n'); err != nil {
				return
			}
			mu.Lock()
			count++
			mu.Unlock()
		}
	}()
	now := func() int {
		mu.Lock()
		defer mu.Unlock()
		return count
	}
	counts := func() bool {
		before := now()
		for end := time.Now().Add(testutil.Patience(time.Second)); time.Now().Before(end) && now() == before; {
			time.Sleep(5 * time.Millisecond)
		}
		return now() > before
	}
	if !counts() {
		t.Fatal("it does not count")
	}
	if err := g.Freeze(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(testutil.Patience(60 * time.Millisecond)) // for what is in the pipe
	frozen := now()
	if time.Sleep(testutil.Patience(60 * time.Millisecond)); frozen != now() {
		t.Error("it counts while frozen")
	}
	if err := g.Thaw(); err != nil {
		t.Fatal(err)
	}
	if !counts() {
		t.Error("it does not count after thawing")
	}
	if err := errors.Join(g.Freeze(), g.Kill()); err != nil { // what is frozen dies too
		t.Error(err)
	}
	if err := (&Group{}).Freeze(); !errors.Is(err, errdefs.ErrNotImplemented) {
		t.Errorf("without a freezer: %v", err)
	}
}

func TestFreezeWithV1Freezer(t *testing.T) {
	h := detected(t)
	i, _ := h.find(controller{v1: "freezer"})
	if i < 0 {
		t.Skip("freezer is not a v1 controller here")
	}
	g := create(t, &Hierarchy{mounts: h.mounts[i : i+1]}, "freezer", nil)
	defer remove(t, g)
	c := start(t, g, "sleep")
	c.line(t)
	if err := g.Freeze(); err != nil {
		t.Fatal(err)
	}
	if state, err := read(g.mounts[0].path() + "/freezer.state"); state != "FROZEN" || err != nil {
		t.Errorf("state %q, %v", state, err)
	}
	if err := g.Kill(); err != nil { // before it is thawed
		t.Error(err)
	}
}

// A runtime that a killed lrun left puts its process into one hierarchy after the other, while the group is being removed.
func TestEndOfAGroupThatAProcessEnters(t *testing.T) {
	h := detected(t)
	g := create(t, h, "entered", nil)
	defer remove(t, g)
	unasked := slices.IndexFunc(g.mounts, func(m Mount) bool { return m.path() != g.unified() && m.path() != g.counted() })
	unasked = max(unasked, 0) // where all are asked it is seen at once
	c := start(t, &Group{mounts: g.mounts[unasked : unasked+1]}, "sleep")
	go func() {
		time.Sleep(100 * time.Millisecond)
		for _, m := range g.mounts {
			_ = write(m.path()+"/cgroup.procs", strconv.Itoa(c.Process.Pid)) // where it is gone it cannot enter
		}
	}()
	ended := make(chan error)
	go func() { ended <- c.Wait() }()
	if err := g.End(); err != nil {
		t.Error(err)
	}
	<-ended // of two that wait at the same time one would wait for ever
}
