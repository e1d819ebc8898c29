package signal_test

import (
	"errors"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/signal"
)

func TestParse(t *testing.T) {
	for s, want := range map[string]int{
		"KILL": 9, "SIGTERM": 15, "term": 15, "1": 1, "64": 64, "SIGUSR1": 10, "RTMIN": 34, "SIGRTMIN+3": 37, "rtmin+30": 64, "RTMAX": 64,
		"RTMAX-14": 50, "RTMAX-30": 34,
	} {
		if got, err := signal.Parse(s); err != nil || int(got) != want {
			t.Errorf("Parse(%q) = %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "0", "-1", "65", "NOPE", "RTMIN+31", "9x", "RTMIN-1", "RTMAX+1", "RTMIN+", "RTMIN 3", "RTMIN+3x", "SIG"} {
		if got, err := signal.Parse(s); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("Parse(%q) = %d, %v", s, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"KILL", "SIGRTMIN+3", "RTMAX-30", "RTMIN+", "9", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := signal.Parse(s); err == nil && (n < 1 || n > 64) {
			t.Errorf("%q is %d", s, n)
		}
	})
}
