package snapshot

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
)

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
	ids := chain(t, s, "base")
	_, err := s.Prepare(ctx, "on base", "base")
	must(t)(err)
	must(t)(s.Commit(ctx, "layer", "on base", WithDisk(8192)))
	layer, err := s.Stat(ctx, "layer")
	must(t)(err)
	ids["layer"] = layer.ID
	must(t)(s.Adopt(ctx, "again", "layer", "layer", WithLabels(map[string]string{"k": "v"})))
	must(t)(s.Adopt(ctx, "alone", "", "layer", WithSize(7)))
	c, err := s.Chain(ctx, "again")
	must(t)(err)
	if len(c) != 3 || c[0].ID != ids["layer"] || c[1].ID != ids["layer"] || c[0].Labels["k"] != "v" {
		t.Errorf("chain %+v", c)
	}
	if i, err := s.Stat(ctx, "alone"); err != nil || i.Size != 7 || i.Disk != 8192 || i.Parent != "" || i.Kind != Committed {
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
