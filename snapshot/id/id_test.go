package id

import "testing"

func TestNew(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := New()
		if !Is(id) || seen[id] {
			t.Fatalf("got %q, twice: %v", id, seen[id])
		}
		seen[id] = true
	}
}

func TestIs(t *testing.T) {
	for s, want := range map[string]bool{
		"0123456789abcdef": true, "": false, "0123456789abcde": false, "0123456789abcdef0": false,
		"0123456789ABCDEF": false, "../../etc/passwd": false, "0123456789abcde\x00": false, "0123456789abcde/": false, "0123456789abcdeg": false, "0123456789abcde:": false, "0123456789abcde`": false,
	} {
		if got := Is(s); got != want {
			t.Errorf("%q: got %v", s, got)
		}
	}
}

func TestCheck(t *testing.T) {
	const a, b = "0123456789abcdef", "fedcba9876543210"
	for _, c := range []struct {
		id, list string
		want     bool
	}{
		{a, "", true},
		{a, b, true},
		{a, a + " " + b, true},
		{"", "", false},
		{"../x", "", false},
		{a, " ", false},
		{a, b + " ", false},
		{a, " " + b, false},
		{a, a + "  " + b, false},
		{a, a + " ../x", false},
	} {
		if err := Check(c.id, c.list); (err == nil) != c.want {
			t.Errorf("%q, %q: got %v", c.id, c.list, err)
		}
	}
}
