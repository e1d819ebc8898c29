package trace

import (
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
)

// stderr returns what fn writes to standard error.
func stderr(t *testing.T, fn func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stderr
	os.Stderr = w
	fn()
	os.Stderr = old
	w.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestStep(t *testing.T) {
	t.Setenv(Variable, "1")
	out := stderr(t, func() { Step("one thing"); Step("another") })
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 {
		t.Fatalf("two steps write %q", out)
	}
	for i, want := range []string{`^trace +0 µs +\+0  one thing$`, `^trace +\d+ µs +\+\d+  another$`} {
		if !regexp.MustCompile(want).MatchString(lines[i]) {
			t.Errorf("step %d writes %q, want %s", i, lines[i], want)
		}
	}
}

func TestBeginning(t *testing.T) {
	t.Setenv(Variable, "1")
	if got := Beginning(); got != "" {
		t.Errorf("before the first step the beginning is %q", got)
	}
	stderr(t, func() { Step("x") })
	first := Beginning()
	if !regexp.MustCompile(`^\d+$`).MatchString(first) {
		t.Errorf("the beginning is %q", first)
	}
	stderr(t, func() { Step("y") })
	if got := Beginning(); got != first {
		t.Errorf("a later step moved the beginning from %s to %s", first, got)
	}
}

func TestOff(t *testing.T) {
	t.Setenv(Variable, "")
	if out := stderr(t, func() { Step("nothing") }); out != "" || Beginning() != "" {
		t.Errorf("a trace that is off writes %q and begins at %q", out, Beginning())
	}
}
