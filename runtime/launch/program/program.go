// Package program runs the executable of an external OCI runtime.
package program

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/calm"
)

// Patience is how long one command of a runtime may take, on a slow machine too.
const Patience = time.Minute

// SpecVersion is the version of the runtime specification that bundles name: crun before 1.9 takes no other than 1.0, and
// nothing in a bundle is newer but what older runtimes may overlook.
const SpecVersion = "1.0.2"

// Find says whether a runtime, a name in PATH or a path, can be executed.
func Find(runtime string) error {
	_, err := exec.LookPath(runtime)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("--runtime %s: there is no such program; install it, or leave --runtime out for the built-in one: %w", runtime, errdefs.ErrNotFound)
	}
	return fmt.Errorf("--runtime %s: it is no program that can be executed: %w: %w", runtime, err, errdefs.ErrInvalidArgument)
}

// Run runs a command of a runtime to its end. When it takes longer than patience, or stop is closed, it is killed with
// all processes of its group, which the container's are not; after stop the error is context.Canceled. It dies with lrun.
func Run(c *exec.Cmd, patience time.Duration, stop <-chan struct{}) error {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	c.WaitDelay = time.Second // after its end, for output that one of its children holds open
	runtime.LockOSThread()    // the signal comes when the thread ends that has started it
	defer runtime.UnlockOSThread()
	_ = calm.Usual() // its processes have the thread's timers; only how exact they are is at stake
	if err := c.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	var why error
	select {
	case err := <-ended:
		return err
	case <-limit.C:
		why = fmt.Errorf("it did not answer for %v and was killed: %w", patience, errdefs.ErrUnavailable)
	case <-stop:
		why = context.Canceled
	}
	killed := unix.Kill(-c.Process.Pid, unix.SIGKILL)
	if errors.Is(killed, unix.ESRCH) {
		killed = nil
	}
	if err := <-ended; err == nil {
		return nil // it has ended well at that very moment
	}
	return errors.Join(why, killed)
}

// Advice says what to do about a message of a runtime; empty: nothing is known.
func Advice(message string) string {
	if strings.Contains(message, "hybrid mode") {
		return "; crun does not work where cgroup v1 and v2 are mounted together: use --runtime runc or the built-in one, or " +
			"run lrun where /sys/fs/cgroup/unified is not mounted (unshare -m, then umount /sys/fs/cgroup/unified)"
	}
	return ""
}

// LastError returns the last message of level error in a runtime's JSON log.
func LastError(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	var message string
	for line := range bytes.Lines(content) {
		var entry struct{ Level, Msg string }
		if json.Unmarshal(line, &entry) == nil && entry.Level == "error" {
			message = entry.Msg
		}
	}
	return message
}
