package container

import "testing"

func TestParseSignal(t *testing.T) {
	for s, want := range map[string]int{"KILL": 9, "SIGTERM": 15, "term": 15, "1": 1, "64": 64, "RTMIN+3": 37, "SIGUSR1": 10} {
		if got, err := parseSignal(s); err != nil || int(got) != want {
			t.Errorf("parseSignal(%q) = %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "0", "-1", "65", "NOPE", "RTMIN+31", "9x"} {
		if got, err := parseSignal(s); err == nil {
			t.Errorf("parseSignal(%q) = %d", s, got)
		}
	}
}
