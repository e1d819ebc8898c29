package machine

import (
	"sync/atomic"
	"testing"

	"github.com/lrun-dev/lrun/runtime/capability"
	"github.com/lrun-dev/lrun/runtime/cgroup"
)

func TestMachine(t *testing.T) {
	m := New()
	m.Expect()
	want, err := cgroup.Detect()
	if err != nil {
		t.Fatal(err)
	}
	h, err := m.Cgroups()
	if err != nil || len(h.Mounts()) != len(want.Mounts()) {
		t.Errorf("hierarchies %v, %v, want %v", h.Mounts(), err, want.Mounts())
	}
	if again, _ := m.Cgroups(); again != h {
		t.Error("asked twice")
	}
	mask, err := m.Bounding()
	if want, werr := capability.Bounding(); mask != want || err != nil || werr != nil {
		t.Errorf("bounding set %x, %v, want %x, %v", mask, err, want, werr)
	}
}

// What is expected is found out although nobody has asked yet.
func TestExpect(t *testing.T) {
	var asked atomic.Int32
	both := make(chan struct{}, 2)
	answer := func() { asked.Add(1); both <- struct{}{} }
	m := &Machine{
		Cgroups:  func() (*cgroup.Hierarchy, error) { answer(); return nil, nil },
		Bounding: func() (uint64, error) { answer(); return 0, nil },
	}
	m.Expect()
	<-both
	<-both
	if asked.Load() != 2 {
		t.Errorf("asked %d times", asked.Load())
	}
}
