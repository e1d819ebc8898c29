package flock

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	l := must(t)(Exclusive(path))
	if pid, err := Holder(path); pid != os.Getpid() || err != nil {
		t.Errorf("got %d, %v, want this process", pid, err)
	}
	unlock(t, l)
	if pid, err := Holder(path); pid != 0 || err != nil {
		t.Errorf("got %d, %v, want nobody", pid, err)
	}
}

func TestExclusiveUntil(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	l := must(t)(ExclusiveUntil(t.Context(), path))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := ExclusiveUntil(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the cause of the context", err)
	}
	unlock(t, l)
	unlock(t, must(t)(ExclusiveUntil(t.Context(), path))) // who gave up does not keep it
}

// A process that was killed while it started another leaves its locks to that for a moment.
func TestWaitForDead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lock")
	for _, name := range []string{path, filepath.Join(dir, "other")} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The shell's child has the lock that flock(1) took, which has ended.
	c := exec.Command("sh", "-c", "exec 3<$0; flock 3; sleep 0.3 & exec 3<&-", path)
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := WaitForDead(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	l, err := TryExclusive(path)
	if err != nil {
		t.Fatalf("after %v: %v", time.Since(begin), err)
	}
	defer unlock(t, l)
	begin = time.Now()
	if err := WaitForDead(t.Context(), dir); err != nil || time.Since(begin) > deadPatience/2 {
		t.Errorf("it waited %v for a process that lives, %v", time.Since(begin), err)
	}
	if err := WaitForDead(t.Context(), filepath.Join(dir, "none")); err != nil {
		t.Errorf("of a directory that is not there: %v", err)
	}
}
