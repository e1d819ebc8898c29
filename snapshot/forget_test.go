package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/snapshot/id"
	"github.com/lrun-dev/lrun/snapshot/record"
)

func TestForget(t *testing.T) {
	for name, c := range map[string]struct {
		keys      []string
		gone, ids []string // ids by the names that they had
	}{
		"a whole chain, children first":       {[]string{"top", "middle", "base"}, []string{"top", "middle", "base"}, []string{"top", "middle", "base"}},
		"a parent before its child stays":     {[]string{"middle", "top"}, []string{"top"}, []string{"top"}},
		"a parent alone stays":                {[]string{"base"}, nil, nil},
		"what is not there is left out":       {[]string{"none", "top"}, []string{"top"}, []string{"top"}},
		"bytes that another shares stay":      {[]string{"twin"}, []string{"twin"}, nil},
		"the last that shares bytes has them": {[]string{"twin", "single"}, []string{"twin", "single"}, []string{"single"}},
		"the parent of an active one stays":   {[]string{"used"}, nil, nil},
		"an active one is not for Forget":     {[]string{"active"}, nil, nil},
		"nothing":                             {nil, nil, nil},
		"named twice":                         {[]string{"top", "top"}, []string{"top"}, []string{"top"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newStore(t)
			ctx := t.Context()
			ids := chain(t, s, "base", "middle", "top")
			for _, key := range []string{"single", "used"} {
				_, err := s.Prepare(ctx, key+"-active", "")
				must(t)(err)
				must(t)(s.Commit(ctx, key, key+"-active"))
				info, err := s.Stat(ctx, key)
				must(t)(err)
				ids[key] = info.ID
			}
			must(t)(s.Adopt(ctx, "twin", "", "single"))
			_, err := s.Prepare(ctx, "active", "used")
			must(t)(err)
			gone, orphans, err := s.Forget(ctx, c.keys)
			must(t)(err)
			var want []string
			for _, name := range c.ids {
				want = append(want, ids[name])
			}
			if !slices.Equal(gone, c.gone) || !slices.Equal(orphans, want) {
				t.Errorf("gone %q, orphans %q; want %q, %q", gone, orphans, c.gone, want)
			}
			for _, key := range gone {
				if _, err := s.Stat(ctx, key); !errors.Is(err, errdefs.ErrNotFound) {
					t.Errorf("%s: %v", key, err)
				}
			}
			for _, id := range orphans {
				if _, err := os.Lstat(s.data(id)); err != nil {
					t.Errorf("Forget has deleted bytes: %v", err)
				}
			}
			must(t)(s.Discard(ctx, orphans))
			for _, id := range orphans {
				if _, err := os.Lstat(s.data(id)); err == nil {
					t.Errorf("%s is still there", id)
				}
			}
		})
	}
}

// One that cannot be read is in nobody's way.
func TestForgetBesideACorruptRecord(t *testing.T) {
	s, _ := newStore(t)
	chain(t, s, "base")
	must(t)(os.WriteFile(filepath.Join(s.dir, "records", "bad.json"), []byte("{"), 0o600))
	if gone, orphans, err := s.Forget(t.Context(), []string{"base"}); len(gone) != 1 || len(orphans) != 1 || err != nil {
		t.Errorf("got %q, %q, %v", gone, orphans, err)
	}
}

// A sweep between the two halves of a removal deletes the bytes, and Discard does not mind.
func TestDiscardAfterASweep(t *testing.T) {
	s, _ := newStore(t)
	chain(t, s, "base")
	_, orphans, err := s.Forget(t.Context(), []string{"base"})
	must(t)(err)
	must(t)(s.Sweep(t.Context()))
	must(t)(s.Discard(t.Context(), orphans))
	checkEmpty(t, s)
}

// Who cannot lock the store to take back what failed, for want of descriptors for example, must not look alive: nobody would
// sweep it.
func TestDropWithoutTheLock(t *testing.T) {
	s, _ := newStore(t)
	r := &record.Record{Key: "key", Kind: Active, ID: id.New()}
	c, err := s.begin(r)
	must(t)(err)
	lock := filepath.Join(s.dir, "lock")
	must(t)(os.Rename(lock, lock+"ed"))
	must(t)(os.Symlink("lock", lock)) // which cannot be opened
	if err := s.drop(c); err == nil {
		t.Error("the store was locked all the same")
	}
	must(t)(os.Remove(lock))
	must(t)(os.Rename(lock+"ed", lock))
	must(t)(s.Sweep(t.Context()))
	if left, err := os.ReadDir(filepath.Join(s.dir, "staging")); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
