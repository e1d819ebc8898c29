package integration

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// manyEnv is how many containers TestOneAfterTheOther makes; 1000 is worth a try before a release.
const manyEnv = "LRUN_MANY"

// TestOneAfterTheOther makes many containers, one after the other. Nothing grows: no file in the root, the state directory or
// /run, no mount, no cgroup.
func TestOneAfterTheOther(t *testing.T) {
	testutil.RequireRoot(t)
	n, err := strconv.Atoi(cmp.Or(os.Getenv(manyEnv), "40"))
	if err != nil {
		t.Fatal(err)
	}
	k := newKillTest(t, killCase{command: "run --rm, create and rm"})
	before := mountsAndRun(t)
	for i := range n {
		k.must("run --rm busybox true")
		k.must(fmt.Sprintf("create --name c%d -v /data busybox true", i))
		k.must(fmt.Sprintf("rm -v c%d", i))
	}
	k.same(n, "after "+strconv.Itoa(n)+" containers")
	if after := mountsAndRun(t); after > before+2 { // other tests' mounts come and go
		t.Errorf("%d mounts and files of /run, %d before", after, before)
	}
}

// mountsAndRun counts the mounts of this process and the entries of /run.
func mountsAndRun(t *testing.T) int {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("/run")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(mounts), "\n") + len(entries)
}
