package snapshot

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
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
	if active.Key != "active" || active.Parent != "" || active.Kind != Active || !isID(active.ID) || !maps.Equal(active.Labels, labels) || active.Created.IsZero() || active.Volatile {
		t.Errorf("prepared %+v", active)
	}
	if got, err := s.Stat(ctx, "active"); err != nil || !sameInfo(got, active) {
		t.Errorf("stat: %+v, %v", got, err)
	}
	must(t)(s.Commit(ctx, "name", "active", WithSize(42)))
	if _, err := s.Stat(ctx, "active"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("the key is not free: %v", err)
	}
	committed, err := s.Stat(ctx, "name")
	must(t)(err)
	if committed.Kind != Committed || committed.ID != active.ID || committed.Size != 42 || committed.Labels != nil {
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

// Layers are filled in any order, without a parent, and put together at commit.
func TestCommitOnParent(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	for _, key := range []string{"3", "1", "2"} {
		_, err := s.Prepare(ctx, key, "", WithVolatile())
		must(t)(err)
	}
	if err := s.Commit(ctx, "l2", "2", WithParent("l1")); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("before its parent: %v", err)
	}
	must(t)(s.Commit(ctx, "l1", "1"))
	must(t)(s.Commit(ctx, "l2", "2", WithParent("l1"), WithSynced()))
	must(t)(s.Commit(ctx, "l3", "3", WithParent("l2")))
	c, err := s.Chain(ctx, "l3")
	if err != nil || len(c) != 3 || c[0].Volatile {
		t.Errorf("chain %+v, %v", c, err)
	}
	_, err = s.Prepare(ctx, "active", "l3")
	must(t)(err)
	if m, err := s.Mounts(ctx, "active"); err != nil || len(m[0].Options[0].Dirs) != 3 {
		t.Errorf("mounts %+v, %v", m, err)
	}
	d := &fake{dir: filepath.Join(t.TempDir(), "data")}
	copying, err := Open(filepath.Dir(d.dir), d)
	must(t)(err)
	_, err = copying.Prepare(ctx, "x", "")
	must(t)(err)
	if err := copying.Commit(ctx, "y", "x", WithParent("l1")); !errors.Is(err, errdefs.ErrNotImplemented) {
		t.Errorf("a driver that copies: %v", err)
	}
}

// Several names may share bytes; only the last takes them along.
func TestAdopt(t *testing.T) {
	s, d := newStore(t)
	ctx := t.Context()
	ids := chain(t, s, "base", "layer")
	must(t)(s.Adopt(ctx, "again", "layer", "layer", WithLabels(map[string]string{"k": "v"})))
	must(t)(s.Adopt(ctx, "alone", "", "layer", WithSize(7)))
	c, err := s.Chain(ctx, "again")
	must(t)(err)
	if len(c) != 3 || c[0].ID != ids["layer"] || c[1].ID != ids["layer"] || c[0].Labels["k"] != "v" {
		t.Errorf("chain %+v", c)
	}
	if i, err := s.Stat(ctx, "alone"); err != nil || i.Size != 7 || i.Parent != "" || i.Kind != Committed {
		t.Errorf("%+v, %v", i, err)
	}
	for _, name := range []string{"again", "layer", "alone"} {
		if _, err := os.Stat(filepath.Join(d.dir, ids["layer"], "fs")); err != nil {
			t.Fatalf("before %s is removed: %v", name, err)
		}
		must(t)(s.Sweep(ctx))
		must(t)(s.Remove(ctx, name))
	}
	must(t)(s.Remove(ctx, "base"))
	checkEmpty(t, s)
}

func TestVolatile(t *testing.T) {
	s, d := newStore(t)
	ctx := t.Context()
	info, err := s.Prepare(ctx, "v", "", WithVolatile())
	must(t)(err)
	for range 2 {
		if _, err := s.Mounts(ctx, "v"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(d.dir, info.ID, "renewed")); err != nil {
		t.Errorf("it was not renewed: %v", err)
	}
	// The machine starts again.
	edit(t, s.record("v"), func(r map[string]any) { r["boot"] = "another" })
	if _, err := s.Mounts(ctx, "v"); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("mounts: %v", err)
	}
	if err := s.Commit(ctx, "x", "v"); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("commit: %v", err)
	}
	must(t)(s.Sweep(ctx))
	if i, err := s.Stat(ctx, "v"); err != nil || !i.Volatile {
		t.Errorf("the sweep took it from its owner: %+v, %v", i, err)
	}
	must(t)(s.Remove(ctx, "v"))
	checkEmpty(t, s)
}

// edit changes a record as a person would.
func edit(t *testing.T, path string, change func(map[string]any)) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t)(err)
	var r map[string]any
	must(t)(json.Unmarshal(b, &r))
	change(r)
	b, err = json.MarshalIndent(r, "", "  ")
	must(t)(err)
	must(t)(os.WriteFile(path, b, 0o600))
}
