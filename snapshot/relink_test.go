package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

// Clear removes a record that counts as none, and no other.
func TestClear(t *testing.T) {
	s, d := newStore(t)
	ids := chain(t, s, "a", "b")
	leave(t, s, "records/bad.json", "{")
	must(t)(os.RemoveAll(filepath.Join(d.dir, ids["b"])))
	for _, key := range []string{"bad", "a", "b", "none"} {
		must(t)(s.Clear(key))
	}
	if faults, err := s.Faults(t.Context()); err != nil || len(faults) > 0 {
		t.Errorf("faults %+v, %v", faults, err)
	}
	if c, err := s.Chain(t.Context(), "a"); err != nil || len(c) != 1 {
		t.Errorf("chain %v, %v", c, err)
	}
}

// What a record names below it is compared id by id, and nothing is made or mounted on one that is wrong. Relink puts it right.
func TestRecordOfAnotherChain(t *testing.T) {
	for name, change := range map[string]func(ids []string) []string{
		"swapped":  func(ids []string) []string { return []string{ids[1], ids[0], ids[2]} },
		"deepest":  func(ids []string) []string { return []string{ids[0], ids[2], ids[1]} },
		"replaced": func(ids []string) []string { return []string{ids[0], "00000000000000aa", ids[2]} },
		"dropped":  func(ids []string) []string { return []string{ids[0], ids[2]} },
		"one more": func(ids []string) []string { return append(ids, "00000000000000aa") },
		"none":     func([]string) []string { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newStore(t)
			ctx := t.Context()
			chain(t, s, "a", "b", "c", "d", "e")
			_, err := s.Prepare(ctx, "kept", "e")
			must(t)(err)
			spoil := func(key string) {
				edit(t, s.record(key), func(r map[string]any) {
					ids := strings.Fields(r["parents"].(string))
					r["parents"] = strings.Join(append(change(ids[:3:3]), ids[3:]...), " ")
				})
			}
			spoil("d")
			spoil("kept")
			for what, err := range map[string]error{
				"chain":   func() error { _, err := s.Chain(ctx, "e"); return err }(),
				"mounts":  func() error { _, err := s.Mounts(ctx, "kept"); return err }(),
				"prepare": func() error { _, err := s.Prepare(ctx, "new", "d"); return err }(),
			} {
				if !errors.Is(err, errdefs.ErrDataLoss) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if faults, err := s.Faults(ctx); err != nil || len(faults) != 3 { // e does not agree with d
				t.Errorf("faults %+v, %v", faults, err)
			}
			changed, err := s.Relink(ctx)
			slices.Sort(changed)
			if err != nil || !slices.Equal(changed, []string{"d", "kept"}) {
				t.Errorf("changed %q, %v", changed, err)
			}
			if faults, err := s.Faults(ctx); err != nil || len(faults) > 0 {
				t.Errorf("faults %+v, %v", faults, err)
			}
			_, err = s.Mounts(ctx, "kept")
			must(t)(err)
		})
	}
}

// The bytes of a layer whose record is gone stay as long as another snapshot stands on them.
func TestBytesBelowStay(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	ids := chain(t, s, "a", "b", "c")
	must(t)(s.Adopt(ctx, "like b", "", "b"))
	must(t)(os.Remove(s.record("b")))
	if faults, err := s.Faults(ctx); err != nil || len(faults) != 1 || faults[0].Leftover {
		t.Errorf("faults %+v, %v", faults, err)
	}
	must(t)(s.Sweep(ctx))
	_, orphans, err := s.Forget(ctx, []string{"like b"})
	if must(t)(err); len(orphans) > 0 {
		t.Errorf("orphans %q", orphans)
	}
	must(t)(s.Sweep(ctx))
	for key, id := range ids {
		if _, err := os.Lstat(s.data(id)); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	must(t)(s.Remove(ctx, "c"))
	must(t)(s.Remove(ctx, "a"))
	must(t)(s.Sweep(ctx))
	checkEmpty(t, s)
}
