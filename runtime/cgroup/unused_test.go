package cgroup

import (
	"slices"
	"testing"
	"time"
)

func TestUnused(t *testing.T) {
	h := detected(t)
	empty, used := create(t, h, "unused/empty", nil), create(t, h, "unused/used", nil)
	for _, g := range []*Group{empty, used} {
		defer remove(t, g)
	}
	last := len(used.mounts) - 1
	c := start(t, &Group{mounts: used.mounts[last:]}, "sleep") // in one hierarchy only
	parent := empty.mounts[0].Dir[:len(empty.mounts[0].Dir)-len("/empty")]
	for age, want := range map[time.Duration][]string{0: {"empty"}, time.Minute: nil} {
		if got, err := h.Unused(parent, age); !slices.Equal(got, want) || err != nil {
			t.Errorf("older than %v: got %q, %v, want %q", age, got, err, want)
		}
	}
	_ = c.Process.Kill()
	_ = c.Wait()
}
