package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

func testLauncher(t *testing.T) *launcher {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close(); stderr.Close() })
	return &launcher{null: null, stderr: stderr}
}

func TestLaunch(t *testing.T) {
	tests := []struct {
		name  string
		argvs [][]string
		want  []string // what the error says
	}{
		{"success", shell("exit 0", 0), nil},
		{"exit status", shell("echo first >&2; echo because >&2; exit 3", 0), []string{"exit status 3", "first\nbecause"}},
		{"signal", shell("kill -KILL $$", 0), []string{"signal 9"}},
		{"one of several", append(shell("exit 0", 0), shell("exit 4", 0)...), []string{"exit status 4"}},
		{"not there", [][]string{{"/nonexistent"}}, []string{"start /nonexistent: no such file or directory"}},
		{"standard input and output are null", shell("read x && exit 1; echo x; test -c /proc/self/fd/1", 0), nil},
	}
	l := testLauncher(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := l.launch(nil, tt.argvs)
			if (err == nil) != (tt.want == nil) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("got %q, want %q", err, w)
				}
			}
		})
	}
}

func TestLaunchForgetsWhatWasSaid(t *testing.T) {
	l := testLauncher(t)
	if _, err := l.launch(nil, shell("echo old >&2; exit 1", 0)); err == nil {
		t.Fatal("no error")
	}
	if _, err := l.launch(nil, shell("echo new >&2; exit 1", 0)); err == nil || strings.Contains(err.Error(), "old") {
		t.Errorf("got %v", err)
	}
}

func TestLaunchTimesUntilTheLastHasEnded(t *testing.T) {
	l := testLauncher(t)
	const pause = 100 * time.Millisecond
	elapsed, err := l.launch(nil, append(append(shell("sleep 0.1", 0), shell("exit 0", 0)...), shell("sleep 0.1", 0)...))
	if err != nil {
		t.Fatal(err)
	}
	if elapsed < pause {
		t.Errorf("took %v, want %v at least", elapsed, pause)
	}
}

func TestLaunchStartsNoMoreAfterAFailure(t *testing.T) {
	l := testLauncher(t)
	mark := filepath.Join(t.TempDir(), "mark")
	argvs := append([][]string{{"/nonexistent"}}, shell("touch "+mark, 0)...)
	if _, err := l.launch(nil, argvs); err == nil {
		t.Fatal("no error")
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the second one was started")
	}
}

func TestLaunchInANamespace(t *testing.T) {
	testutil.RequireRoot(t)
	dir := t.TempDir()
	ns := mountNamespace(t, dir)
	defer ns.Close()
	l := testLauncher(t)
	if _, err := l.launch(ns, shell("grep -q ' "+dir+" ' /proc/self/mounts", 0)); err != nil {
		t.Errorf("in the namespace: %v", err)
	}
	if _, err := l.launch(nil, shell("grep -q ' "+dir+" ' /proc/self/mounts", 0)); err == nil {
		t.Error("the mount is seen outside the namespace")
	}
}

// mountNamespace makes a mount namespace with a tmpfs on dir.
func mountNamespace(t *testing.T, dir string) *os.File {
	t.Helper()
	var ns *os.File
	err := inNamespace(nil, func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
			return err
		}
		var err error
		ns, err = os.Open("/proc/thread-self/ns/mnt")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

func TestNotANamespace(t *testing.T) {
	testutil.RequireRoot(t)
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := testLauncher(t).launch(f, shell("exit 0", 0)); err == nil || !strings.Contains(err.Error(), "setns /dev/null") {
		t.Errorf("got %v", err)
	}
}
