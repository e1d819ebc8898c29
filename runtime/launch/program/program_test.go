package program_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime/launch/program"
)

func script(t *testing.T, mode os.FileMode, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "runtime")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFind(t *testing.T) {
	for name, c := range map[string]struct {
		runtime string
		err     error
	}{
		"in PATH":        {"sh", nil},
		"a path":         {script(t, 0o755, ""), nil},
		"not there":      {"no-such-runtime", errdefs.ErrNotFound},
		"no such path":   {"/no/such/runtime", errdefs.ErrNotFound},
		"not executable": {script(t, 0o644, ""), errdefs.ErrInvalidArgument},
		"a directory":    {t.TempDir(), errdefs.ErrInvalidArgument},
	} {
		if err := program.Find(c.runtime); !errors.Is(err, c.err) || err != nil && !strings.Contains(err.Error(), c.runtime) {
			t.Errorf("%s: got %v, want %v", name, err, c.err)
		}
	}
}

func TestRun(t *testing.T) {
	var out bytes.Buffer
	c := exec.Command(script(t, 0o755, "echo said; exit 3"))
	c.Stdout = &out
	exit := (*exec.ExitError)(nil)
	if err := program.Run(c, program.Patience, nil); !errors.As(err, &exit) || exit.ExitCode() != 3 || out.String() != "said\n" {
		t.Errorf("got %v, %q", err, out.String())
	}
	if err := program.Run(exec.Command("/no/such/runtime"), program.Patience, nil); err == nil {
		t.Error("what is not there was run")
	}
}

// A runtime that hangs is killed with its children, whether the time is up or somebody asks.
func TestRunEndsWhatHangs(t *testing.T) {
	for name, patience := range map[string]time.Duration{"asked": time.Hour, "time is up": 300 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			pids := filepath.Join(t.TempDir(), "pids")
			stop := make(chan struct{})
			if patience == time.Hour {
				time.AfterFunc(300*time.Millisecond, func() { close(stop) })
			}
			var out bytes.Buffer // a pipe, which the child holds open
			c := exec.Command(script(t, 0o755, "sleep 600 & echo $! >"+pids+"; wait"))
			c.Stdout = &out
			err := program.Run(c, patience, stop)
			if want := map[bool]error{true: context.Canceled, false: errdefs.ErrUnavailable}[patience == time.Hour]; !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
			b, err := os.ReadFile(pids)
			if err != nil {
				t.Fatal(err)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
			if err != nil {
				t.Fatal(err)
			}
			for range 200 { // a killed process takes a moment to die
				stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
				if err != nil || strings.Contains(string(stat), ") Z ") {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
			_ = unix.Kill(pid, unix.SIGKILL)
			t.Error("its child is still there")
		})
	}
}

func TestAdvice(t *testing.T) {
	if got := program.Advice("cgroups in hybrid mode not supported, drop all controllers from cgroupv2"); !strings.Contains(got, "unshare -m") {
		t.Errorf("got %q", got)
	}
	if got := program.Advice("something else"); got != "" {
		t.Errorf("got %q", got)
	}
}
