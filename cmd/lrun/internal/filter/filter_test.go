package filter

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, filters string // separated by |
		key           string
		want          []string
	}{
		{"one", "label=a", "label", []string{"a"}},
		{"repeated", "label=a|label=b=c", "label", []string{"a", "b=c"}},
		{"key in any case, with spaces", " Label =a", "label", []string{"a"}},
		{"value with spaces around", "label= a ", "label", []string{"a"}},
		{"empty value", "label=", "label", []string{""}},
		{"absent", "dangling=true", "label", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Parse(strings.Split(tt.filters, "|"), "label", "dangling")
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(s.Values(tt.key), tt.want) || s.Has(tt.key) != (tt.want != nil) {
				t.Errorf("got %q, has %v", s.Values(tt.key), s.Has(tt.key))
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ filter, want string }{
		{"label", `parse filter "label": want key=value`},
		{"", `parse filter "": want key=value`},
		{"colour=red", `parse filter "colour=red": there is no filter "colour", only dangling, label`},
		{"=x", `parse filter "=x": there is no filter "", only dangling, label`},
	}
	for _, tt := range tests {
		_, err := Parse([]string{tt.filter}, "label", "dangling")
		if err == nil || err.Error() != tt.want || !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q: got %v, want %s", tt.filter, err, tt.want)
		}
	}
}

func TestAny(t *testing.T) {
	s, err := Parse([]string{"reference=a*", "reference=b"}, "reference")
	if err != nil {
		t.Fatal(err)
	}
	is := func(word string) func(string) bool { return func(v string) bool { return v == word } }
	if !s.Any("reference", is("b")) || s.Any("reference", is("c")) || !s.Any("absent", is("c")) {
		t.Error("values of one key are alternatives; an absent key lets everything pass")
	}
	if !(Set{}).Any("reference", is("c")) {
		t.Error("the zero set lets everything pass")
	}
}

func TestBool(t *testing.T) {
	tests := []struct {
		filters      string
		value, given bool
		fails        bool
	}{
		{"x=y", false, false, false},
		{"dangling=true", true, true, false},
		{"dangling=1|dangling=t", true, true, false},
		{"dangling=false", false, true, false},
		{"dangling=0", false, true, false},
		{"dangling=maybe", false, true, true},
		{"dangling=", false, true, true},
		{"dangling=true|dangling=false", false, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.filters, func(t *testing.T) {
			s, err := Parse(strings.Split(tt.filters, "|"), "x", "dangling")
			if err != nil {
				t.Fatal(err)
			}
			value, given, err := s.Bool("dangling")
			if value != tt.value || given != tt.given || errdefs.IsInvalidArgument(err) != tt.fails {
				t.Errorf("got %v, %v, %v", value, given, err)
			}
		})
	}
}

func TestLabels(t *testing.T) {
	labels := map[string]string{"a": "1", "b": "", "c": "x=y"}
	tests := []struct {
		filters string
		want    bool
	}{
		{"label=a", true},
		{"label=a=1", true},
		{"label=a=2", false},
		{"label=a|label=b", true},
		{"label=a|label=d", false},
		{"label=b=", true},
		{"label=a=", false},
		{"label=c=x=y", true},
		{"other=q", true},
	}
	for _, tt := range tests {
		s, err := Parse(strings.Split(tt.filters, "|"), "label", "other")
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Labels("label", labels); got != tt.want {
			t.Errorf("%s: got %v", tt.filters, got)
		}
	}
}

func ExampleParse() {
	s, _ := Parse([]string{"label=tier=web", "label=public"}, "label", "dangling")
	fmt.Println(s.Labels("label", map[string]string{"tier": "web", "public": ""}))
	_, err := Parse([]string{"lable=x"}, "label", "dangling")
	fmt.Println(err)
	// Output:
	// true
	// parse filter "lable=x": there is no filter "lable", only dangling, label
}
