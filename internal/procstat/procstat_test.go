package procstat

import (
	"errors"
	"io/fs"
	"os"
	"testing"
)

func TestRead(t *testing.T) {
	s, err := Read(os.Getpid())
	if err != nil || s.Parent != os.Getppid() || s.Start == 0 || s.Zombie {
		t.Errorf("this process: %+v, %v", s, err)
	}
	if _, err := Read(1<<22 + 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no process: %v", err)
	}
}

const rest = " 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 77 0"

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		want Stat
		ok   bool
	}{
		"plain":                   {"5 (sh) S 4" + rest, Stat{Parent: 4, Start: 77}, true},
		"a name with parentheses": {"5 (a) Z 9 (b) S 4" + rest, Stat{Parent: 4, Start: 77}, true},
		"a zombie":                {"5 (sh) Z 4" + rest, Stat{Parent: 4, Start: 77, Zombie: true}, true},
		"cut":                     {"5 (sh) S 4 0 0", Stat{}, false},
		"empty":                   {"", Stat{}, false},
		"no number":               {"5 (sh) S x" + rest, Stat{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := parse([]byte(c.line)); (err == nil) != c.ok || c.ok && got != c.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("5 (sh) S 4" + rest))
	f.Fuzz(func(_ *testing.T, line []byte) { _, _ = parse(line) })
}

func TestIs(t *testing.T) {
	s, err := Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !s.Is(os.Getpid(), s.Start) || s.Is(os.Getpid(), s.Start+100) || s.Is(1<<22+1, s.Start+1) {
		t.Error("it takes this process for another, or another for this one")
	}
}

func TestParseOffset(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want int64
		ok   bool
	}{
		"none":     {"monotonic           0         0\nboottime            0         0\n", 0, true},
		"later":    {"monotonic 5 0\nboottime 86400 20000000\n", 8640002, true},
		"earlier":  {"boottime -10 990000000\n", -901, true},
		"no clock": {"monotonic 5 0\n", 0, false},
		"no text":  {"", 0, false},
		"a word":   {"boottime x 0\n", 0, false},
		"two":      {"boottime 0 x\n", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := parseOffset([]byte(c.text)); (err == nil) != c.ok || c.ok && got != c.want {
				t.Errorf("got %d, %v", got, err)
			}
		})
	}
}

func FuzzParseOffset(f *testing.F) {
	f.Add([]byte("boottime 1 2\n"))
	f.Fuzz(func(_ *testing.T, text []byte) { _, _ = parseOffset(text) })
}
