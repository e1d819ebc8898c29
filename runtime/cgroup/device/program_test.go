package device

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// Signals come at any time, Go's own not least, and make the kernel give up verifying a program.
func TestLoadAmidSignals(t *testing.T) {
	testutil.RequireRoot(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	thread := unix.Gettid()
	var done atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !done.Load() {
			if err := unix.Tgkill(unix.Getpid(), thread, unix.SIGURG); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	var list []specs.LinuxDeviceCgroup
	for minor := range int64(60) {
		list = append(list, item(true, "c", 1, minor, "rwm"))
	}
	rules, err := Parse(list)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		fd, err := load(rules.program())
		if err != nil {
			t.Error(err)
			break
		}
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	}
	done.Store(true)
	<-ended
	var now unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, nil, &now); err != nil || now != (unix.Sigset_t{}) {
		t.Errorf("signals are blocked afterwards: %v, %v", now, err)
	}
}
