package each_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/each"
)

var errMissing, errRefused = errors.New("missing"), errors.New("refused")

// world is things that are there until somebody has worked on them. Names are the first letter of an id, or the whole.
type world struct {
	sync.Mutex

	there  map[string]bool
	found  int // how often find was asked
	worked []string
	most   int // how many were worked on at once
	now    int
}

func (w *world) find(name string) (thing, id string, err error) {
	w.Lock()
	defer w.Unlock()
	w.found++
	for id := range w.there {
		if strings.HasPrefix(id, name) {
			return "thing " + id, id, nil
		}
	}
	return "", "", errMissing
}

func (w *world) begin(id string) {
	w.Lock()
	defer w.Unlock()
	w.now++
	w.most = max(w.most, w.now)
	w.worked = append(w.worked, id)
}

func (w *world) end(id string, gone bool) {
	w.Lock()
	defer w.Unlock()
	w.now--
	if gone {
		delete(w.there, id)
	}
}

func TestNamed(t *testing.T) {
	w := &world{there: map[string]bool{"apple": true, "bean": true, "corn": true, "dill": true}}
	var done []string
	err := each.Named([]string{"c", "nothing", "bean", "corn", "d", "b", "apple"}, w.find, func(name, thing string) error {
		id := strings.TrimPrefix(thing, "thing ")
		w.begin(id)
		defer w.end(id, id != "dill")
		if id == "dill" {
			return errRefused
		}
		return nil
	}, func(name string) error {
		done = append(done, name)
		return nil
	})
	if want := []string{"c", "bean", "apple"}; !slices.Equal(done, want) {
		t.Errorf("done %q, want %q", done, want)
	}
	if got, want := err.Error(), "missing\nmissing\nrefused\nmissing"; got != want {
		t.Errorf("got errors %q, want %q", got, want)
	}
	slices.Sort(w.worked)
	if want := []string{"apple", "bean", "corn", "dill"}; !slices.Equal(w.worked, want) {
		t.Errorf("worked on %q, want each once: %q", w.worked, want)
	}
}

// Several at once, but not all of many, and none before all were found: what a name means may change with what is done.
func TestNamedAtOnce(t *testing.T) {
	w := &world{there: map[string]bool{}}
	var names []string
	for c := range 40 {
		names = append(names, string(rune('A'+c)))
		w.there[names[c]] = true
	}
	second, closeOnce := make(chan struct{}), sync.Once{}
	err := each.Named(names, w.find, func(name, thing string) error {
		w.begin(name)
		defer w.end(name, true)
		w.Lock()
		together, found := w.now > 1, w.found
		w.Unlock()
		if together {
			closeOnce.Do(func() { close(second) })
		}
		if found != len(names) {
			return fmt.Errorf("it was begun when %d were found", found)
		}
		<-second // nobody ends before there are two
		return nil
	}, func(string) error { return nil })
	if err != nil || len(w.worked) != 40 || w.most < 2 || w.most > 8 {
		t.Errorf("%v: worked on %d, %d at once", err, len(w.worked), w.most)
	}
}

func TestNamedStopsAtNoFailureOfDone(t *testing.T) {
	w := &world{there: map[string]bool{"a": true, "b": true}}
	err := each.Named([]string{"a", "b"}, w.find, func(name, thing string) error {
		w.begin(name)
		w.end(name, true)
		return nil
	}, func(string) error { return errRefused })
	if !errors.Is(err, errRefused) || len(w.worked) != 2 {
		t.Errorf("got %v after %q", err, w.worked)
	}
}

func TestWithout(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"nothing": {nil, ""}, "one": {errMissing, ""}, "another": {errRefused, "refused"},
		"of both":   {errors.Join(errMissing, errRefused, errMissing), "refused"},
		"of a kind": {errors.Join(errMissing, fmt.Errorf("b: %w", errMissing)), ""},
	} {
		got := ""
		if err := each.Without(c.err, errMissing); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestNamedNothing(t *testing.T) {
	if err := each.Named(nil, func(string) (int, string, error) { return 0, "", errMissing }, nil, nil); err != nil {
		t.Error(err)
	}
}
