package selinux

import (
	"errors"
	"slices"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/mount"
)

func TestMount(t *testing.T) {
	m := mount.Mount{Type: "overlay", Options: make([]mount.Option, 1, 2)}
	same := func(a, b mount.Option) bool { return a.Key == b.Key && a.Value == b.Value }
	if got, err := Mount(m, ""); err != nil || len(got.Options) != 1 {
		t.Errorf("without: %+v, %v", got, err)
	}
	one, err := Mount(m, "u:r:t:s0:c1,c2")
	if err != nil || !slices.EqualFunc(one.Options, []mount.Option{{}, {Key: "context", Value: "u:r:t:s0:c1,c2"}}, same) {
		t.Errorf("got %+v, %v", one, err)
	}
	if other, err := Mount(m, "x"); err != nil || one.Options[1].Value == other.Options[1].Value {
		t.Errorf("one has changed the other: %+v, %v", one, err)
	}
	if _, err := Mount(mount.Mount{Type: "bind"}, "x"); !errors.Is(err, errdefs.ErrNotImplemented) {
		t.Errorf("a bind: %v", err)
	}
}
