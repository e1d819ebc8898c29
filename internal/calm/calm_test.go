package calm

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

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
	if got := slackOf(t, tid); got != strconv.Itoa(slack) {
		t.Errorf("slack %s, want %d", got, slack)
	}
	if got := slackOf(t, os.Getpid()); got != before { // a container would inherit it
		t.Errorf("the first thread has a slack of %s now, %s before", got, before)
	}
}

// elsewhere calls f on a thread that ends with it, and is not the first.
func elsewhere(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock
		if unix.Gettid() == os.Getpid() {
			done <- elsewhere(f) // for this one is taken
			return
		}
		done <- f()
	}()
	return <-done
}

// A thread that the watcher has made gets the timers of the first thread, and any other keeps its own.
func TestUsual(t *testing.T) {
	testutil.RequireRoot(t) // to read the timers of another thread
	first := slackOf(t, os.Getpid())
	for _, c := range []struct {
		has  int
		want string
	}{{slack, first}, {60_001, "60001"}} {
		err := elsewhere(func() error {
			err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(c.has), 0, 0, 0)
			if err == nil {
				err = Usual()
			}
			if got, _ := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err == nil && strconv.Itoa(got) != c.want {
				err = fmt.Errorf("of %d it has made %d, want %s", c.has, got, c.want)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
