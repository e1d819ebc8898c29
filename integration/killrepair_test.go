package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// A repair that is killed, of a layer on which another stands, leaves what the next repair, or load of the image, puts right.
func TestKilledRepair(t *testing.T) {
	testutil.RequireRoot(t)
	for _, lost := range []string{"record", "bytes", "both"} {
		for _, command := range []string{"fsck --repair", "load -q -i $D/second.tar"} {
			t.Run(lost+" lost, "+command[:4], func(t *testing.T) { killRepair(t, lost, command) })
		}
	}
}

func killRepair(t *testing.T, lost, command string) {
	x := newCrashTest(t, crashCase{name: "load", command: "load -q -i $D/second.tar", undo: []string{"rmi second"}})
	x.must("load -q -i $D/second.tar")
	x.crashCase.command = command
	sound := x.files()
	x.loseLowest(lost)
	total, _ := x.killAt(0)
	x.must("rmi -f none") // sweeps the bytes that had no record any more
	x.equal("after "+command, sound)
	step, tried := x.step(total, crashPointsSample), 0
	for n := 1 + step/2; !x.Failed(); n += step {
		x.loseLowest(lost)
		_, killed := x.killAt(n)
		x.must([]string{"fsck --repair", "load -q -i $D/second.tar"}[tried%2])
		x.must("rmi -f none")
		if out := x.must("fsck --deep"); !strings.Contains(out, " 0 damaged, 0 left over") {
			x.Fatalf("point %d: it was not put right:\n%s", n, out)
		}
		x.equal("after a kill and the next repair", sound)
		if out := x.must("run --rm second cat /one"); out != "1\n" {
			x.Fatalf("point %d: a container has %q in a file that has a line 1", n, out)
		}
		if !killed && n > total/2 {
			break
		}
		tried++
	}
	x.Logf("%d points of about %d tried", tried, total)
}

// loseLowest takes the record, the bytes or both of the one layer that has none below.
func (x *crashTest) loseLowest(what string) {
	x.Helper()
	paths, err := filepath.Glob(filepath.Join(x.work, "root/snapshots/*/records/*.json"))
	if err != nil || len(paths) == 0 {
		x.Fatal("no records: ", err)
	}
	for _, path := range paths {
		var record struct{ Parent, Kind, ID string }
		text, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(text, &record)
		}
		if err != nil {
			x.Fatal(err)
		}
		if record.Parent != "" || record.Kind != "committed" {
			continue
		}
		if what != "bytes" {
			err = os.Remove(path)
		}
		if err == nil && what != "record" {
			err = os.RemoveAll(filepath.Join(filepath.Dir(filepath.Dir(path)), "data", record.ID))
		}
		if err != nil {
			x.Fatal(err)
		}
		return
	}
	x.Fatalf("none of %q has no layer below", paths)
}
