package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/snapshot/record"
)

// What a process leaves when it is killed between any two steps: nothing of it is ever visible, and
// the sweep, with nobody alive, leaves no trace.
func TestKilledBetweenSteps(t *testing.T) {
	const id = "00000000000000aa"
	tests := []struct {
		name string
		left func(t *testing.T, s *Store)
	}{
		{"claimed", func(t *testing.T, s *Store) {
			leave(t, s, "staging/"+id+".json", `{"key":"k","kind":"active","id":"`+id+`","parents":""}`)
		}},
		{"claim not written", func(t *testing.T, s *Store) { leave(t, s, "staging/"+id+".json", "") }},
		{"bytes half made", func(t *testing.T, s *Store) {
			leave(t, s, "staging/"+id+".json", `{"key":"k","kind":"active","id":"`+id+`","parents":""}`)
			leave(t, s, "data/"+id+"/fs/half", "x")
		}},
		{"bytes without record", func(t *testing.T, s *Store) { leave(t, s, "data/"+id+"/fs/file", "x") }},
		{"half deleted", func(t *testing.T, s *Store) { leave(t, s, "staging/"+id+"/fs/file", "x") }},
		{"record cut off by a crash of the machine", func(t *testing.T, s *Store) { leave(t, s, "records/k.json", "") }},
		{"record of zeros", func(t *testing.T, s *Store) { leave(t, s, "records/k.json", "\x00\x00\x00\x00") }},
		{"volatile record without bytes", func(t *testing.T, s *Store) {
			leave(t, s, "records/k.json", `{"key":"k","kind":"active","id":"`+id+`","boot":"b","parents":""}`)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newStore(t)
			tt.left(t, s)
			ctx := t.Context()
			if _, err := s.Stat(ctx, "k"); !errors.Is(err, errdefs.ErrNotFound) {
				t.Errorf("stat: %v", err)
			}
			must(t)(s.Walk(ctx, func(i Info) error { t.Errorf("walk shows %+v", i); return nil }))
			// The key can be used before any sweep.
			_, err := s.Prepare(ctx, "k", "")
			must(t)(err)
			must(t)(s.Sweep(ctx))
			if _, err := s.Stat(ctx, "k"); err != nil {
				t.Errorf("the sweep took what is there: %v", err)
			}
			must(t)(s.Remove(ctx, "k"))
			tt.left(t, s)
			faults, err := s.Faults(ctx)
			must(t)(err)
			if len(faults) == 0 {
				t.Error("what is left is not reported")
			}
			for _, f := range faults {
				if !f.Leftover {
					t.Errorf("what a kill leaves is called damage: %+v", f)
				}
			}
			must(t)(s.Sweep(ctx))
			checkEmpty(t, s)
		})
	}
}

func leave(t *testing.T, s *Store, name, content string) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	must(t)(os.MkdirAll(filepath.Dir(path), 0o700))
	must(t)(os.WriteFile(path, []byte(content), 0o600))
}

// Killed between the two renames of Commit, the snapshot is still the active one, whole.
func TestKilledInCommit(t *testing.T) {
	for _, parent := range []string{"", "base"} {
		t.Run("on "+parent, func(t *testing.T) {
			s, _ := newStore(t)
			ctx := t.Context()
			ids := chain(t, s, "base")
			before, err := s.Prepare(ctx, "k", parent, WithLabels(map[string]string{"x": "y"}))
			must(t)(err)
			must(t)(s.Commit(ctx, "name", "k", WithParent("base"), WithSize(3)))
			committed, err := s.Stat(ctx, "name")
			must(t)(err)
			must(t)(os.Rename(s.record("name"), s.record("k")))

			if got, err := s.Stat(ctx, "k"); err != nil || !sameInfo(got, before) {
				t.Errorf("got %+v, %v, want %+v", got, err, before)
			}
			if _, err := s.Stat(ctx, "name"); !errors.Is(err, errdefs.ErrNotFound) {
				t.Errorf("name: %v", err)
			}
			m, err := s.Mounts(ctx, "k")
			must(t)(err)
			if got := m[0].Options[0].Dirs; (len(got) == 1 && got[0] == ids["base"]) != (parent != "") {
				t.Errorf("parents %q", got)
			}
			must(t)(s.Sweep(ctx))
			must(t)(s.Commit(ctx, "name", "k", WithParent("base"), WithSize(3)))
			if again, err := s.Stat(ctx, "name"); err != nil || again.ID != committed.ID || again.Parent != "base" {
				t.Errorf("committed again: %+v, %v", again, err)
			}
		})
	}
}

// A crash of the machine in a commit may bring back the record that was replaced, beside the new one: whichever goes first, the
// bytes stay with the other, and go with the last.
func TestReplacedRecordIsBack(t *testing.T) {
	const key, name = "unpack-dead-1", "sha256:layer"
	for _, order := range [][]string{{key, name}, {name, key}} {
		for way, remove := range map[string]func(s *Store, what string) error{
			"Remove": func(s *Store, what string) error { return s.Remove(t.Context(), what) },
			"Forget": func(s *Store, what string) error { // it leaves active ones to Remove
				if what == key {
					return s.Remove(t.Context(), what)
				}
				_, orphans, err := s.Forget(t.Context(), []string{what})
				return errors.Join(err, s.Discard(t.Context(), orphans))
			},
		} {
			t.Run(way+" first "+order[0], func(t *testing.T) {
				s, _ := newStore(t)
				ctx := t.Context()
				info, err := s.Prepare(ctx, key, "", WithVolatile())
				must(t)(err)
				edit(t, s.record(key), func(r map[string]any) { r["boot"] = "before" })
				replaced, err := os.ReadFile(s.record(key))
				must(t)(err)
				s.boot = func() (string, error) { return "before", nil }
				must(t)(s.Commit(ctx, name, key))
				leave(t, s, "records/"+key+".json", string(replaced))

				s.boot = func() (string, error) { return "after", nil }
				if _, err := s.Mounts(ctx, key); !errors.Is(err, errdefs.ErrFailedPrecondition) {
					t.Errorf("what is committed could be written to: %v", err)
				}
				for i, what := range order {
					faults, err := s.Faults(ctx)
					must(t)(err)
					if _, err := os.Stat(s.data(info.ID)); err != nil || len(faults) > 0 {
						t.Errorf("before %s goes: %v, %+v", order[i:], err, faults)
					}
					must(t)(remove(s, what))
				}
				checkEmpty(t, s)
			})
		}
	}
}

// A record that was synced stays though its bytes are missing: perhaps a filesystem is not mounted.
func TestMissingBytes(t *testing.T) {
	s, d := newStore(t)
	ctx := t.Context()
	ids := chain(t, s, "a", "b")
	must(t)(os.Rename(filepath.Join(d.dir, ids["a"]), s.dir+"/elsewhere"))
	if _, err := s.Stat(ctx, "a"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("stat: %v", err)
	}
	if _, err := s.Prepare(ctx, "x", "a"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("prepare: %v", err)
	}
	must(t)(s.Sweep(ctx))
	must(t)(os.Rename(s.dir+"/elsewhere", filepath.Join(d.dir, ids["a"])))
	if c, err := s.Chain(ctx, "b"); err != nil || len(c) != 2 {
		t.Errorf("chain %v, %v", c, err)
	}
}

// An unreadable record is reported, hides no other, and is in the way of nothing but of the deletion of bytes that it might
// name. It can be replaced, and removed.
func TestCorruptRecord(t *testing.T) {
	for name, content := range map[string]string{
		"no JSON":        "{",
		"another's":      `{"key":"other","kind":"active","id":"00000000000000aa","parents":""}`,
		"id is a path":   `{"key":"bad","kind":"active","id":"../../../etc/aa","parents":""}`,
		"no id":          `{"key":"bad","kind":"active","parents":""}`,
		"parents a path": `{"key":"bad","kind":"active","id":"00000000000000aa","parents":"../../../etc/aa"}`,
		"unknown kind":   `{"key":"bad","kind":"frozen","id":"00000000000000aa","parents":""}`,
		"no kind":        `{"key":"bad","id":"00000000000000aa","parents":""}`,
		"was of no kind": `{"key":"bad","kind":"committed","id":"00000000000000aa","was":{"key":"k","kind":"Active"},"parents":""}`,
		"was committed":  `{"key":"bad","kind":"committed","id":"00000000000000aa","was":{"key":"k","kind":"committed"},"parents":""}`,
		"bad escape":     `{"key":"%zz","kind":"active","id":"00000000000000aa","parents":""}`,
	} {
		t.Run(name, func(t *testing.T) {
			s, d := newStore(t)
			ctx := t.Context()
			chain(t, s, "a", "b")
			leave(t, s, "records/bad.json", content)
			leave(t, s, "data/00000000000000aa/fs/f", "x")
			if _, err := s.Stat(ctx, "bad"); !errors.Is(err, errdefs.ErrDataLoss) {
				t.Errorf("stat: %v", err)
			}
			n := 0
			if err := s.Walk(ctx, func(Info) error { n++; return nil }); !errors.Is(err, errdefs.ErrDataLoss) || n != 2 {
				t.Errorf("walk: %d, %v", n, err)
			}
			must(t)(s.Sweep(ctx))
			gone, _, err := s.Forget(ctx, []string{"b"})
			if must(t)(err); len(gone) != 1 {
				t.Errorf("forget: %q", gone)
			}
			faults, err := s.Faults(ctx)
			if must(t)(err); len(faults) != 1 || faults[0].Leftover || !faults[0].Absent || !strings.Contains(faults[0].Err.Error(), "bad.json") {
				t.Errorf("faults: %+v", faults)
			}
			if _, err := os.Stat(filepath.Join(d.dir, "00000000000000aa", "fs", "f")); err != nil {
				t.Errorf("bytes are gone: %v", err)
			}
			_, err = s.Prepare(ctx, "bad", "a")
			must(t)(err)
			leave(t, s, "records/bad.json", content)
			must(t)(s.Remove(ctx, "bad"))
			must(t)(s.Remove(ctx, "a"))
			must(t)(s.Sweep(ctx))
			checkEmpty(t, s)
		})
	}
}

// A person may edit a record: the order of members and blanks mean nothing.
func TestEditedRecord(t *testing.T) {
	s, _ := newStore(t)
	chain(t, s, "a", "b", "c")
	for _, name := range []string{"a", "b", "c"} {
		edit(t, s.record(name), func(map[string]any) {})
	}
	if c, err := s.Chain(t.Context(), "c"); err != nil || len(c) != 3 {
		t.Errorf("chain %v, %v", c, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"key":"k","kind":"active","id":"00000000000000aa","parents":"00000000000000ab 00000000000000ac"}`))
	f.Add([]byte(`{"key":"k","labels":{"a":"b","parents":"x"},"kind":"active","id":"00000000000000aa","parents":""}`))
	f.Add([]byte(`{"was":{"parents":""},"parents":"` + `"}`))
	f.Add([]byte(`{"key":"k","kind":"committed","id":"00000000000000aa","was":{"key":"w","kind":"view"},"parents":""}`))
	f.Add([]byte(`,"parents":""}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := record.Decode(append([]byte(nil), b...))
		if err != nil || r.Check() != nil {
			return
		}
		if r.Kind != Active && r.Kind != View && r.Kind != Committed || r.Was != nil && r.Before().Kind != Active {
			t.Errorf("%+v was accepted", r)
		}
		// What was read is written and read again as the same.
		b, err = json.Marshal(r)
		if err != nil {
			return // a year that JSON does not know
		}
		again, err := record.Decode(b)
		if err != nil || again.Key != r.Key || again.ID != r.ID || again.Below != r.Below || len(again.Labels) != len(r.Labels) {
			t.Errorf("%+v became %+v, %v", r, again, err)
		}
	})
}

// While a process is at work, nobody takes its bytes, its parent or its key from it.
func TestSweepSparesTheLiving(t *testing.T) {
	s, d := newStore(t)
	ctx := t.Context()
	chain(t, s, "base")
	other, err := Open(s.dir, sharing{&fake{dir: d.dir}})
	must(t)(err)
	d.create = func(_ context.Context, sn Snapshot) error {
		if err := other.Sweep(ctx); err != nil {
			return err
		}
		if err := other.Remove(ctx, "base"); !errors.Is(err, errdefs.ErrFailedPrecondition) {
			return fmt.Errorf("the parent could be removed: %w", err)
		}
		if _, err := os.Stat(filepath.Join(d.dir, sn.ID, "fs")); err != nil {
			return err
		}
		_, err := other.Stat(ctx, "k")
		if !errors.Is(err, errdefs.ErrNotFound) {
			return fmt.Errorf("it is visible: %w", err)
		}
		return nil
	}
	_, err = s.Prepare(ctx, "k", "base")
	must(t)(err)
	_, err = other.Prepare(ctx, "parentless", "")
	must(t)(err)
	d.commit = func(Snapshot) error {
		for name, err := range map[string]error{
			"remove":  other.Remove(ctx, "parentless"),
			"commit":  other.Commit(ctx, "other name", "parentless"),
			"parents": other.Remove(ctx, "base"),
		} {
			if !errors.Is(err, errdefs.ErrFailedPrecondition) {
				return fmt.Errorf("%s while it is committed: %w", name, err)
			}
		}
		return other.Sweep(ctx)
	}
	must(t)(s.Remove(ctx, "k"))
	must(t)(s.Commit(ctx, "name", "parentless", WithParent("base")))
}

// Two that make one key, or one name: one wins, the other is told, and nothing of it stays.
func TestRaceForAKey(t *testing.T) {
	s, d := newStore(t)
	ctx := t.Context()
	other, err := Open(s.dir, sharing{&fake{dir: d.dir}})
	must(t)(err)
	d.create = func(context.Context, Snapshot) error { _, err := other.Prepare(ctx, "k", ""); return err }
	if _, err := s.Prepare(ctx, "k", ""); !errors.Is(err, errdefs.ErrAlreadyExists) {
		t.Errorf("prepare: %v", err)
	}
	d.create = nil
	_, err = s.Prepare(ctx, "second", "")
	must(t)(err)
	d.commit = func(Snapshot) error { return other.Commit(ctx, "name", "k") }
	if err := s.Commit(ctx, "name", "second"); !errors.Is(err, errdefs.ErrAlreadyExists) {
		t.Errorf("commit: %v", err)
	}
	must(t)(s.Remove(ctx, "second"))
	must(t)(s.Remove(ctx, "name"))
	checkEmpty(t, s)
}

// Discard of what another process is deleting leaves it to that.
func TestDiscardTwice(t *testing.T) {
	s, d := newStore(t)
	leave(t, s, "data/00000000000000aa/fs/f", "x")
	path := filepath.Join(d.dir, "00000000000000aa")
	l, err := flock.TryExclusive(path)
	must(t)(err)
	must(t)(Discard(t.Context(), d.dir, "00000000000000aa"))
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	must(t)(l.Unlock())
	for range 2 {
		must(t)(Discard(t.Context(), d.dir, "00000000000000aa"))
	}
	checkEmpty(t, s)
}

func TestManyGoroutines(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	chain(t, s, "base")
	var all sync.WaitGroup
	for g := range 20 {
		all.Go(func() {
			for i := range 5 {
				key, name := fmt.Sprintf("k%d.%d", g, i), fmt.Sprintf("n%d.%d", g, i)
				_, err := s.Prepare(ctx, key, "base", WithVolatile())
				for _, err := range []error{err, s.Commit(ctx, name, key, WithSynced()), s.Sweep(ctx), s.Remove(ctx, name)} {
					if err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	all.Wait()
	must(t)(s.Remove(ctx, "base"))
	checkEmpty(t, s)
}
