package snapshot

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/atomicfile"
)

// volatile is newStore of a store that does not sync.
func volatile(t *testing.T) *Store {
	dir := t.TempDir()
	s, err := OpenWith(dir, sharing{&fake{dir: filepath.Join(dir, "data")}}, atomicfile.Volatile)
	must(t)(err)
	return s
}

// What others make and remove meanwhile is never called damaged, and what they make is not left over.
func TestFaultsOfTheLiving(t *testing.T) {
	tests := []struct {
		name string
		work func(t *testing.T, s *Store, i int)
		left bool // what is removed may be called a leftover
	}{
		{"committed out of one key", func(t *testing.T, s *Store, i int) {
			_, err := s.Prepare(t.Context(), "unpack", "")
			must(t)(err)
			must(t)(s.Commit(t.Context(), fmt.Sprint(i), "unpack"))
		}, false},
		{"removed and made again", func(t *testing.T, s *Store, _ int) {
			parent := ""
			for _, name := range []string{"a", "b", "c"} {
				_, err := s.Prepare(t.Context(), "unpack", parent)
				must(t)(err)
				must(t)(s.Commit(t.Context(), name, "unpack"))
				parent = name
			}
			_, orphans, err := s.Forget(t.Context(), []string{"c", "b", "a"})
			must(t)(err)
			must(t)(s.Discard(t.Context(), orphans))
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := volatile(t)
			end := time.Now().Add(2 * time.Second)
			var g sync.WaitGroup
			g.Go(func() {
				for i := 0; time.Now().Before(end); i++ {
					tt.work(t, s, i%500)
					if i%500 == 499 && !tt.left {
						return
					}
				}
			})
			for time.Now().Before(end) && !t.Failed() {
				faults, err := s.Faults(t.Context())
				if err != nil && !errdefs.IsNotFound(err) {
					t.Error(err)
				}
				for _, f := range faults {
					if !f.Leftover || !tt.left {
						t.Errorf("%+v", f)
					}
				}
			}
			g.Wait()
		})
	}
}

// A record that is gone once its parent is looked for says nothing of damage, whether another is in its place or not.
func TestBelowMeanwhile(t *testing.T) {
	s, _ := newStore(t)
	chain(t, s, "a", "b")
	r, err := s.lookup("b")
	must(t)(err)
	for _, again := range []bool{false, true} {
		_, _, err := s.Forget(t.Context(), []string{"b", "a"})
		must(t)(err)
		if again {
			chain(t, s, "a", "b")
		}
		if _, err := s.below(r); !meanwhile(err) {
			t.Errorf("made again %v: %v", again, err)
		}
	}
}

// A look that comes after the one that found nothing may be at a new record.
func TestAbsenceOfWhatIsThere(t *testing.T) {
	s, _ := newStore(t)
	chain(t, s, "a")
	if leftover, err := s.absence(fileName("a")); leftover || err != nil {
		t.Errorf("got %v, %v", leftover, err)
	}
}
