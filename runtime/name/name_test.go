package name

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for name, valid := range map[string]bool{
		"web": true, "web-1_2.3": true, "9a": true, "a": false, "": false, "-web": false, ".web": false, "we b": false, "we/b": false,
		"wéb": false, strings.Repeat("x", 255): true, strings.Repeat("x", 256): false,
	} {
		if err := Check(name); (err == nil) != valid {
			t.Errorf("Check(%q) = %v", name, err)
		}
	}
}

func TestRandom(t *testing.T) {
	asked := 0
	got := Random(func(string) bool { asked++; return asked < 100 })
	if Check(got) != nil || strings.Count(got, "_") < 1 {
		t.Errorf("got %q", got)
	}
}
