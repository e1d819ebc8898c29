package settle

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer/needs"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// all returns what first does until there is nothing left.
func all(ns *notes) []string {
	var found []string
	for name, ok := ns.first(); ok; name, ok = ns.first() {
		found = append(found, name)
		ns.settled(name)
	}
	return found
}

func TestNotesComeInOrder(t *testing.T) {
	ns := newNotes(needs.Needs{ImpliedDirs: []string{"b", "a/c", "./a", "a-b", "/a/b/"}, Whiteouts: []string{".", "a/c", "b"}})
	if got, want := all(ns), []string{"a", "a-b", "a/b", "a/c", "b"}; !slices.Equal(got, want) {
		t.Errorf("implied: %q", got)
	}
	if got, want := ns.withWhiteouts(), []string{"", "a/c", "b"}; !slices.Equal(got, want) {
		t.Errorf("whiteouts: %q", got)
	}
}

func TestNotesMove(t *testing.T) {
	ns := newNotes(needs.Needs{
		ImpliedDirs: []string{"a", "a/b", "a/b/c", "z"}, Whiteouts: []string{"a", "a/b", "z"},
		Order: map[string]int{"a/b/c/f": 7, "a/b/g": 3, "x/g": 5, "z": 9, "z/f": 2},
	})
	ns.move("a", "aside") // and what is in it goes on
	ns.move("aside/b", "x/b")
	ns.arrived("x/b")
	ns.merged("aside", "x")
	ns.moveFile("z/f", "x/f")
	for name, want := range map[string]string{
		"x/b/c/f": "a/b/c/f", "x/b": "a/b", "x": "x", "x/g": "x/g", "x/f": "z/f", "": "", "y/y": "y/y",
		"a": "", "a/b": "", "a/b/c": "", // what is there now is another one
	} {
		if got := ns.origin(name); got != want {
			t.Errorf("%q was %q, want %q", name, got, want)
		}
	}
	for _, tt := range []struct {
		a, b string
		want bool
	}{{"x/b/c/f", "x/g", true}, {"x/b/g", "x/g", false}, {"a/b/c/f", "x/g", false}, {"x/f", "x/b/g", false}, {"x/b/g", "x/f", true}} {
		if got := ns.later(tt.a, tt.b); got != tt.want {
			t.Errorf("%q later than %q: %v", tt.a, tt.b, got)
		}
	}
	if got := ns.withWhiteouts(); !slices.Equal(got, []string{"x", "x/b", "z"}) {
		t.Errorf("whiteouts: %q", got)
	}
	if got := all(ns); !slices.Equal(got, []string{"x/b", "x/b/c", "z"}) {
		t.Errorf("implied: %q", got)
	}
}

// TestManyDirectories: what has to be looked at for a layer of many directories that go elsewhere is n log n. Only the work is counted.
func TestManyDirectories(t *testing.T) {
	testutil.RequireRoot(t)
	for _, tt := range []struct {
		name       string
		link, file string // of the layer below, of the layer; each for a number
	}{
		{"many links below", "l%d", "l%d/f"},
		{"one link below, with many directories", "l", "l/d%d/f"},
		{"links below in a directory that is one", "real/l%d", "real/l%d/f"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			looks := func(n int) int {
				layer, below, want := t.TempDir(), t.TempDir(), needs.Needs{Order: map[string]int{}}
				must(t, os.MkdirAll(below+"/real", 0o755))
				for i := range n {
					link, file := numbered(tt.link, i), numbered(tt.file, i)
					if err := os.Symlink("/real", filepath.Join(below, link)); err != nil && !os.IsExist(err) {
						t.Fatal(err)
					}
					must(t, os.MkdirAll(filepath.Join(layer, filepath.Dir(file)), 0o755))
					must(t, os.WriteFile(filepath.Join(layer, file), nil, 0o600))
					for dir := filepath.Dir(file); dir != "."; dir = filepath.Dir(dir) {
						want.ImpliedDirs = append(want.ImpliedDirs, dir)
					}
					want.Order[file] = i + 1
				}
				return settled(t, layer, below, want)
			}
			few, many := looks(10), looks(80)
			if many > few*8*3 {
				t.Errorf("%d notes looked at for 10 directories, %d for 80", few, many)
			}
		})
	}
}

func numbered(format string, i int) string {
	if slices.Contains([]byte(format), '%') {
		return fmt.Sprintf(format, i)
	}
	return format
}

// settled settles a layer and returns how many notes were looked at.
func settled(t *testing.T, layer, below string, n needs.Needs) int {
	t.Helper()
	dir, err := os.Open(layer)
	must(t, err)
	defer dir.Close()
	parents, err := os.Open(below)
	must(t, err)
	defer parents.Close()
	slices.Sort(n.ImpliedDirs)
	n.ImpliedDirs = slices.Compact(n.ImpliedDirs)
	s := newSettler(context.Background(), dir, n, parents)
	must(t, s.settle(n))
	return s.notes.looks
}
