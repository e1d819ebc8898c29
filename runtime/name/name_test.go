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

func TestIsID(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	if !IsID(id) {
		t.Errorf("%s is none", id)
	}
	for _, no := range []string{"", id[1:], id + "0", strings.ToUpper(id), strings.Repeat("\x00", 64), id[1:] + "/"} {
		if IsID(no) {
			t.Errorf("%q is one", no)
		}
	}
}
