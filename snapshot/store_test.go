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

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/snapshot/id"
)

// fake is a driver that needs no privilege; its hooks run first, when they are there.
type fake struct {
	dir    string
	create func(ctx context.Context, s Snapshot) error
	commit func(s Snapshot) error
	remove func(id string) error
}

func (d *fake) Create(ctx context.Context, s Snapshot) error {
	if err := os.MkdirAll(filepath.Join(d.dir, s.ID, "fs"), 0o700); err != nil {
		return err
	}
	if d.create != nil {
		return d.create(ctx, s)
	}
	return nil
}

// Mounts tells in options what it was asked.
func (d *fake) Mounts(s Snapshot) ([]mount.Mount, error) {
	return []mount.Mount{{Type: string(s.Kind), Source: s.ID, Options: []mount.Option{{Key: "parents", Dirs: s.Parents}}}}, nil
}

func (d *fake) Commit(_ context.Context, s Snapshot) error {
	if d.commit != nil {
		return d.commit(s)
	}
	return nil
}

func (d *fake) Usage(_ context.Context, s Snapshot) (Usage, error) {
	entries, err := os.ReadDir(filepath.Join(d.dir, s.ID, "fs"))
	return Usage{Inodes: int64(len(entries))}, err
}

func (d *fake) Remove(ctx context.Context, id string) error {
	if d.remove != nil {
		if err := d.remove(id); err != nil {
			return err
		}
	}
	return Discard(ctx, d.dir, id)
}

// sharing is a fake whose bytes serve on any parent.
type sharing struct{ *fake }

func (sharing) Rebase(context.Context, Snapshot) error { return nil }
func (d sharing) Renew(_ context.Context, s Snapshot) error {
	return os.WriteFile(filepath.Join(d.dir, s.ID, "renewed"), nil, 0o600)
}

// newStore returns a store of a driver that shares, and its driver.
func newStore(t *testing.T) (*Store, *fake) {
	t.Helper()
	dir := t.TempDir()
	d := &fake{dir: filepath.Join(dir, "data")}
	s, err := Open(dir, sharing{d})
	if err != nil {
		t.Fatal(err)
	}
	return s, d
}

// must fails the test on an error.
func must(t *testing.T) func(error) {
	return func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// chain commits names, each on the one before, and returns their ids.
func chain(t *testing.T, s *Store, names ...string) map[string]string {
	t.Helper()
	ids, parent := map[string]string{}, ""
	for _, name := range names {
		info, err := s.Prepare(t.Context(), "making "+name, parent)
		must(t)(err)
		must(t)(s.Commit(t.Context(), name, "making "+name))
		ids[name], parent = info.ID, name
	}
	return ids
}

func TestLifeCycle(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	labels := map[string]string{"a": "b", "ü": "✓"}
	active, err := s.Prepare(ctx, "active", "", WithLabels(labels))
	must(t)(err)
	if active.Key != "active" || active.Parent != "" || active.Kind != Active || !id.Is(active.ID) || !maps.Equal(active.Labels, labels) || active.Created.IsZero() || active.Volatile {
		t.Errorf("prepared %+v", active)
	}
	if got, err := s.Stat(ctx, "active"); err != nil || !sameInfo(got, active) {
		t.Errorf("stat: %+v, %v", got, err)
	}
	must(t)(s.Commit(ctx, "name", "active", WithSize(42), WithDisk(4096)))
	if _, err := s.Stat(ctx, "active"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("the key is not free: %v", err)
	}
	committed, err := s.Stat(ctx, "name")
	must(t)(err)
	if committed.Kind != Committed || committed.ID != active.ID || committed.Size != 42 || committed.Disk != 4096 || committed.Labels != nil {
		t.Errorf("committed %+v", committed)
	}
	view, err := s.View(ctx, "active", "name", WithVolatile())
	must(t)(err)
	if view.Kind != View || view.Parent != "name" || !view.Volatile {
		t.Errorf("view %+v", view)
	}
	var keys []string
	must(t)(s.Walk(ctx, func(i Info) error { keys = append(keys, i.Key); return nil }))
	slices.Sort(keys)
	if !slices.Equal(keys, []string{"active", "name"}) {
		t.Errorf("walk: %q", keys)
	}
	must(t)(s.Remove(ctx, "active"))
	must(t)(s.Remove(ctx, "name"))
	checkEmpty(t, s)
}

func sameInfo(a, b Info) bool {
	return a.Key == b.Key && a.Parent == b.Parent && a.Kind == b.Kind && a.ID == b.ID && maps.Equal(a.Labels, b.Labels) &&
		a.Created.Equal(b.Created) && a.Size == b.Size && a.Volatile == b.Volatile
}

// checkEmpty fails when the store holds anything.
func checkEmpty(t *testing.T, s *Store) {
	t.Helper()
	for _, sub := range []string{"records", "data", "staging"} {
		entries, err := os.ReadDir(filepath.Join(s.dir, sub))
		if err != nil || len(entries) > 0 {
			t.Errorf("%s holds %v, %v", sub, entries, err)
		}
	}
}

// Each call that must be refused is, with its class, and changes nothing.
func TestRefusals(t *testing.T) {
	s, _ := newStore(t)
	copying, err := Open(t.TempDir(), &fake{})
	must(t)(err)
	ctx := t.Context()
	chain(t, s, "base", "top")
	_, err = s.Prepare(ctx, "active", "top")
	must(t)(err)
	_, err = s.View(ctx, "view", "top")
	must(t)(err)
	prepare := func(key, parent string, o ...Opt) error { _, err := s.Prepare(ctx, key, parent, o...); return err }
	tests := []struct {
		name string
		err  error
		is   error
	}{
		{"prepare: key of an active one", prepare("active", ""), errdefs.ErrAlreadyExists},
		{"prepare: key of a view", prepare("view", ""), errdefs.ErrAlreadyExists},
		{"prepare: key of a committed one", prepare("base", ""), errdefs.ErrAlreadyExists},
		{"prepare: no such parent", prepare("x", "none"), errdefs.ErrNotFound},
		{"prepare: active parent", prepare("x", "active"), errdefs.ErrInvalidArgument},
		{"prepare: view as parent", prepare("x", "view"), errdefs.ErrInvalidArgument},
		{"prepare: empty key", prepare("", ""), errdefs.ErrInvalidArgument},
		{"prepare: long key", prepare(strings.Repeat("x", 2000), ""), errdefs.ErrInvalidArgument},
		{"prepare: label that is not UTF-8", prepare("x", "", WithLabels(map[string]string{"a": "\xff"})), errdefs.ErrInvalidArgument},
		{"prepare: WithParent", prepare("x", "", WithParent("base")), errdefs.ErrInvalidArgument},
		{"prepare: WithDisk", prepare("x", "", WithDisk(1)), errdefs.ErrInvalidArgument},
		{"prepare: WithSize", prepare("x", "", WithSize(1)), errdefs.ErrInvalidArgument},
		{"prepare: WithSynced", prepare("x", "", WithSynced()), errdefs.ErrInvalidArgument},
		{"commit: no such key", s.Commit(ctx, "x", "none"), errdefs.ErrNotFound},
		{"commit: a view", s.Commit(ctx, "x", "view"), errdefs.ErrFailedPrecondition},
		{"commit: a committed one", s.Commit(ctx, "x", "base"), errdefs.ErrFailedPrecondition},
		{"commit: name is taken", s.Commit(ctx, "base", "active"), errdefs.ErrAlreadyExists},
		{"commit: name is its own key", s.Commit(ctx, "active", "active"), errdefs.ErrAlreadyExists},
		{"commit: empty name", s.Commit(ctx, "", "active"), errdefs.ErrInvalidArgument},
		{"commit: WithVolatile", s.Commit(ctx, "x", "active", WithVolatile()), errdefs.ErrInvalidArgument},
		{"commit: has another parent", s.Commit(ctx, "x", "active", WithParent("base")), errdefs.ErrFailedPrecondition},
		{"remove: no such key", s.Remove(ctx, "none"), errdefs.ErrNotFound},
		{"remove: committed children", s.Remove(ctx, "base"), errdefs.ErrFailedPrecondition},
		{"remove: active children", s.Remove(ctx, "top"), errdefs.ErrFailedPrecondition},
		{"adopt: no such model", s.Adopt(ctx, "x", "", "none"), errdefs.ErrNotFound},
		{"adopt: no such parent", s.Adopt(ctx, "x", "none", "base"), errdefs.ErrNotFound},
		{"adopt: active model", s.Adopt(ctx, "x", "", "active"), errdefs.ErrInvalidArgument},
		{"adopt: active parent", s.Adopt(ctx, "x", "active", "base"), errdefs.ErrInvalidArgument},
		{"adopt: name is taken", s.Adopt(ctx, "view", "", "base"), errdefs.ErrAlreadyExists},
		{"adopt: WithParent", s.Adopt(ctx, "x", "", "base", WithParent("top")), errdefs.ErrInvalidArgument},
		{"adopt: a driver that copies", copying.Adopt(ctx, "x", "", "base"), errdefs.ErrNotImplemented},
		{"stat", errOf(s.Stat(ctx, "none")), errdefs.ErrNotFound},
		{"usage", errOf(s.Usage(ctx, "none")), errdefs.ErrNotFound},
		{"chain", errOf(s.Chain(ctx, "none")), errdefs.ErrNotFound},
		{"path", errOf(s.Path(ctx, "none")), errdefs.ErrNotFound},
		{"path of a view", errOf(s.Path(ctx, "view")), errdefs.ErrInvalidArgument},
		{"mounts", errOf(s.Mounts(ctx, "none")), errdefs.ErrNotFound},
		{"mounts of a committed one", errOf(s.Mounts(ctx, "base")), errdefs.ErrFailedPrecondition},
	}
	for _, tt := range tests {
		if !errors.Is(tt.err, tt.is) {
			t.Errorf("%s: %v, want %v", tt.name, tt.err, tt.is)
		}
	}
	var n int
	must(t)(s.Walk(ctx, func(Info) error { n++; return nil }))
	if n != 4 {
		t.Errorf("%d snapshots are left of 4", n)
	}
}

func errOf[T any](_ T, err error) error { return err }

func TestMountsAndChain(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	ids := chain(t, s, "a", "b", "c")
	_, err := s.Prepare(ctx, "active", "c")
	must(t)(err)
	m, err := s.Mounts(ctx, "active")
	must(t)(err)
	if got, want := m[0].Options[0].Dirs, []string{ids["c"], ids["b"], ids["a"]}; !slices.Equal(got, want) {
		t.Errorf("parents %q, want %q, nearest first", got, want)
	}
	got, err := s.Chain(ctx, "active")
	must(t)(err)
	var keys []string
	for _, i := range got {
		keys = append(keys, i.Key)
	}
	if !slices.Equal(keys, []string{"active", "c", "b", "a"}) {
		t.Errorf("chain %q", keys)
	}
	path, err := s.Path(ctx, "b")
	if want := filepath.Join(s.dir, "data", ids["b"], "fs"); path != want || err != nil {
		t.Errorf("path %q, %v, want %q", path, err, want)
	}
	if u, err := s.Usage(ctx, "b"); u.Inodes != 0 || err != nil {
		t.Errorf("usage %+v, %v", u, err)
	}
	for _, name := range []string{"c", "b", "a"} { // without its parent a chain is not a shorter one
		must(t)(os.Rename(s.record(name), s.record(name)+"x"))
		if _, err := s.Chain(ctx, "active"); !errors.Is(err, errdefs.ErrDataLoss) {
			t.Errorf("without %s: %v", name, err)
		}
		must(t)(os.Rename(s.record(name)+"x", s.record(name)))
	}
}

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

// TestChainWhileItGoes: a chain that is removed and made anew, again and again, is never taken for damaged.
func TestChainWhileItGoes(t *testing.T) {
	_, d := newStore(t)
	s, err := OpenWith(filepath.Dir(d.dir), sharing{d}, atomicfile.Volatile)
	must(t)(err)
	done := make(chan error, 1)
	go func() {
		var err error
		for range 500 {
			err = errors.Join(err, again(t.Context(), s))
		}
		done <- err
	}()
	seen := map[string]int{}
	for {
		chain, err := s.Chain(t.Context(), "top")
		switch {
		case err == nil && len(chain) == 2:
			seen["whole"]++
		case errdefs.IsNotFound(err), errdefs.IsConflict(err):
			seen["gone"]++
		default:
			t.Errorf("%+v, %v", chain, err)
		}
		select {
		case err := <-done:
			if err != nil || len(seen) != 2 {
				t.Errorf("%v, %v", seen, err)
			}
			return
		default:
		}
	}
}

// again makes a chain of two and removes it.
func again(ctx context.Context, s *Store) error {
	parent := ""
	for _, name := range []string{"base", "top"} {
		_, err := s.Prepare(ctx, "making", parent, WithVolatile())
		if err == nil {
			err = s.Commit(ctx, name, "making")
		}
		if err != nil {
			return err
		}
		parent = name
	}
	return errors.Join(s.Remove(ctx, "top"), s.Remove(ctx, "base"))
}
