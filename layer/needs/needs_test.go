package needs

import (
	"encoding/json"
	"errors"
	"reflect"
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
		{Needs{Links: []Link{{Name: "a", Target: "b"}}}, false},
		{Needs{Parents: []Parent{{"a", true}}}, false},
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
	n := Needs{ImpliedDirs: []string{"a"}, Links: []Link{{Name: "l", Target: "t", Hidden: true}}, Parents: []Parent{{"p", true}}, Whiteouts: []string{"."}, Opaque: true, Root: true}
	data, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	var back Needs
	if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(back, n) {
		t.Errorf("%s became %+v, %v", data, back, err)
	}
}

func TestNotDir(t *testing.T) {
	err := error(NotDir{"a/b"})
	if !errors.Is(err, errdefs.ErrInvalidArgument) || err.Error() != `parent "a/b" is not a directory` {
		t.Error(err)
	}
}
