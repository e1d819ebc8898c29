package needs

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
)

func TestEmpty(t *testing.T) {
	for _, tt := range []struct {
		n    Needs
		want bool
	}{
		{Needs{}, true},
		{Needs{Root: true, Order: map[string]int{"a": 1}}, true},
		{Needs{ImpliedDirs: []string{"a"}}, false},
		{Needs{Links: []Link{{"a", "b"}}}, false},
		{Needs{Whiteouts: []string{"."}}, false},
		{Needs{Opaque: true}, false},
	} {
		if got := tt.n.Empty(); got != tt.want {
			t.Errorf("%+v: %v", tt.n, got)
		}
	}
}

// What is written down comes back, all but the order.
func TestJSON(t *testing.T) {
	n := Needs{ImpliedDirs: []string{"a"}, Links: []Link{{"l", "t"}}, Whiteouts: []string{"."}, Opaque: true, Root: true}
	data, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	var back Needs
	if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(back, n) {
		t.Errorf("%s became %+v, %v", data, back, err)
	}
}

func TestInAnyOrder(t *testing.T) {
	after := map[string]string{"a": "b", "b": "c", "c": "", "d": "nowhere"}
	broken := errors.New("broken")
	for _, tt := range []struct {
		links []string
		made  []string
		err   error
	}{
		{nil, nil, nil},
		{[]string{"a", "b", "c"}, []string{"c", "b", "a"}, nil},
		{[]string{"c", "a", "b"}, []string{"c", "b", "a"}, nil},
		{[]string{"c", "d"}, []string{"c"}, errdefs.ErrInvalidArgument},
		{[]string{"c", "x", "b"}, []string{"c"}, broken},
	} {
		var made []string
		err := InAnyOrder(tt.links, func(l string) (bool, error) {
			if l == "x" {
				return false, broken
			}
			ok := after[l] == "" || slices.Contains(made, after[l])
			if ok {
				made = append(made, l)
			}
			return ok, nil
		}, func(l string) error { return NoTarget(l, after[l]) })
		if !errors.Is(err, tt.err) || !slices.Equal(made, tt.made) {
			t.Errorf("%v: made %v, %v", tt.links, made, err)
		}
	}
}

func TestNotDir(t *testing.T) {
	err := error(NotDir{"a/b"})
	if !errors.Is(err, errdefs.ErrInvalidArgument) || err.Error() != `parent "a/b" is not a directory` {
		t.Error(err)
	}
}
