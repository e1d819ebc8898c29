package calm

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// slackOf is the timer slack of a thread as the kernel has it.
func slackOf(t *testing.T, tid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/timerslack_ns", tid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func TestWatcher(t *testing.T) {
	testutil.RequireRoot(t)
	tid := second()
	if tid == 0 || tid == os.Getpid() {
		t.Fatalf("the second thread is %d", tid)
	}
	before := slackOf(t, os.Getpid())
	Watcher()
	if got := slackOf(t, tid); got != slack {
		t.Errorf("slack %s, want %s", got, slack)
	}
	if got := slackOf(t, os.Getpid()); got != before { // a container would inherit it
		t.Errorf("the first thread has a slack of %s now, %s before", got, before)
	}
}
