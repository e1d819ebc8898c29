package snapshot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/mount"
)

// A failure of the driver leaves nothing.
func TestDriverFails(t *testing.T) {
	s, d := newStore(t)
	ctx := t.Context()
	broken := errors.New("broken")
	d.create = func(context.Context, Snapshot) error { return broken }
	if _, err := s.Prepare(ctx, "x", ""); !errors.Is(err, broken) {
		t.Errorf("prepare: %v", err)
	}
	checkEmpty(t, s)
	d.create = func(ctx context.Context, _ Snapshot) error { return ctx.Err() }
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Prepare(cancelled, "x", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	checkEmpty(t, s)
	d.create = nil
	_, err := s.Prepare(ctx, "x", "")
	must(t)(err)
	d.commit = func(Snapshot) error { return broken }
	if err := s.Commit(ctx, "y", "x"); !errors.Is(err, broken) {
		t.Errorf("commit: %v", err)
	}
	if i, err := s.Stat(ctx, "x"); err != nil || i.Kind != Active {
		t.Errorf("after a commit that failed: %+v, %v", i, err)
	}
	d.remove = func(string) error { return broken }
	if err := s.Remove(ctx, "x"); !errors.Is(err, broken) {
		t.Errorf("remove: %v", err)
	}
	if _, err := s.Stat(ctx, "x"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("the name is not gone: %v", err)
	}
	if err := s.Sweep(ctx); !errors.Is(err, broken) {
		t.Errorf("sweep: %v", err)
	}
	d.remove = nil
	must(t)(s.Sweep(ctx))
	checkEmpty(t, s)
}

// Trap 14: one that cannot be deleted does not stop the sweep.
func TestSweepGoesOn(t *testing.T) {
	s, d := newStore(t)
	ctx := t.Context()
	for i := range 3 {
		must(t)(os.MkdirAll(filepath.Join(d.dir, fmt.Sprintf("%016x", i), "fs"), 0o700))
	}
	d.remove = func(id string) error {
		if id == fmt.Sprintf("%016x", 0) {
			return errors.New("resists")
		}
		return nil
	}
	if err := s.Sweep(ctx); err == nil || !strings.Contains(err.Error(), "resists") {
		t.Errorf("got %v", err)
	}
	left, err := os.ReadDir(d.dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestWalkStops(t *testing.T) {
	s, _ := newStore(t)
	chain(t, s, "a", "b")
	stop := errors.New("stop")
	n := 0
	if err := s.Walk(t.Context(), func(Info) error { n++; return stop }); !errors.Is(err, stop) || n != 1 {
		t.Errorf("%d calls, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Walk(ctx, func(Info) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := s.Chain(ctx, "b"); !errors.Is(err, context.Canceled) {
		t.Errorf("chain: %v", err)
	}
}

func TestOpenFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t)(os.WriteFile(file, nil, 0o600))
	if _, err := Open(file, &fake{}); err == nil {
		t.Error("no error")
	}
}

// The order of many layers is kept, however long the record gets.
func TestLongChain(t *testing.T) {
	s, _ := newStore(t)
	var names []string
	for i := range 500 {
		names = append(names, fmt.Sprint("layer", i))
	}
	parent := ""
	for _, name := range names {
		_, err := s.Prepare(t.Context(), name+"+", parent, WithVolatile())
		must(t)(err)
		must(t)(s.Commit(t.Context(), name, name+"+", WithSynced()))
		parent = name
	}
	c, err := s.Chain(t.Context(), parent)
	must(t)(err)
	for i, info := range c {
		if want := names[len(names)-1-i]; info.Key != want {
			t.Fatalf("%d: %s, want %s", i, info.Key, want)
		}
	}
	if len(c) != 500 {
		t.Errorf("%d in the chain", len(c))
	}
}
