package spec_test

import (
	"encoding/json"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestTuning(t *testing.T) {
	adj := -5
	c, err := spec.New(spec.Settings{Args: []string{"true"}, Tuning: spec.Tuning{
		Rlimits: []spec.Rlimit{{Name: "nofile", Soft: 5, Hard: 6}, {Name: "core", Soft: -1, Hard: -1}}, OOMScoreAdj: &adj,
	}}, spec.Facts{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(c.Process.Rlimits)
	want := `[{"type":"RLIMIT_NOFILE","hard":6,"soft":5},{"type":"RLIMIT_CORE","hard":18446744073709551615,"soft":18446744073709551615}]`
	if err != nil || string(got) != want || *c.Process.OOMScoreAdj != -5 {
		t.Errorf("got %s, %d, %v", got, *c.Process.OOMScoreAdj, err)
	}
	if c, err = spec.New(spec.Settings{Args: []string{"true"}}, spec.Facts{}); err != nil || len(c.Process.Rlimits) > 0 || c.Process.OOMScoreAdj != nil {
		t.Errorf("nothing asked: %+v, %v", c.Process, err)
	}
}

// The names are Docker's, in capitals.
func TestRlimitNumber(t *testing.T) {
	for name, want := range map[string]uint64{
		"core": unix.RLIMIT_CORE, "cpu": 0, "data": unix.RLIMIT_DATA, "fsize": unix.RLIMIT_FSIZE, "locks": unix.RLIMIT_LOCKS,
		"memlock": unix.RLIMIT_MEMLOCK, "msgqueue": unix.RLIMIT_MSGQUEUE, "nice": unix.RLIMIT_NICE, "nofile": unix.RLIMIT_NOFILE,
		"nproc": unix.RLIMIT_NPROC, "rss": unix.RLIMIT_RSS, "rtprio": unix.RLIMIT_RTPRIO, "rttime": unix.RLIMIT_RTTIME,
		"sigpending": unix.RLIMIT_SIGPENDING, "stack": unix.RLIMIT_STACK, "as": unix.RLIMIT_AS,
	} {
		if got, ok := spec.RlimitNumber("RLIMIT_" + strings.ToUpper(name)); !ok || got != want {
			t.Errorf("%s is %d, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "nofile", "RLIMIT_X"} {
		if got, ok := spec.RlimitNumber(name); ok {
			t.Errorf("%q is %d", name, got)
		}
	}
}
