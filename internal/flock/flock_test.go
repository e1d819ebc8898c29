package flock

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
)

func TestExclusiveCreates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	l := must(t)(Exclusive(path))
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode().Perm() != 0o600 || fi.Size() != 0 {
		t.Errorf("mode %o, %d bytes; want an empty file of mode 600", fi.Mode().Perm(), fi.Size())
	}
	held, err := l.File().Stat()
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(held, fi) {
		t.Error("File is another file")
	}
	unlock(t, l)
	if err := l.Unlock(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("second unlock: %v, want fs.ErrClosed", err)
	}
}

func TestKeepsContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if err := os.WriteFile(path, []byte("content"), 0o400); err != nil {
		t.Fatal(err)
	}
	unlock(t, must(t)(Exclusive(path)))
	if got, err := os.ReadFile(path); string(got) != "content" {
		t.Errorf("holds %q, %v", got, err)
	}
}

func TestTryExclusive(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "lock")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, dir} {
		for name, hold := range map[string]func(string) (*Lock, error){"exclusive": Exclusive, "shared": Shared} {
			t.Run(name+" "+filepath.Base(path), func(t *testing.T) {
				l := must(t)(hold(path))
				if _, err := TryExclusive(path); !errors.Is(err, ErrBusy) || !errors.Is(err, errdefs.ErrFailedPrecondition) {
					t.Errorf("held: %v, want ErrBusy", err)
				}
				unlock(t, l)
				unlock(t, must(t)(TryExclusive(path)))
			})
		}
	}
	missing := filepath.Join(dir, "none")
	if _, err := TryExclusive(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v, want fs.ErrNotExist", err)
	}
	if _, err := os.Lstat(missing); err == nil {
		t.Error("TryExclusive made the file")
	}
}

func TestSharedTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	a, b := must(t)(Shared(path)), must(t)(Shared(path))
	unlock(t, a)
	if _, err := TryExclusive(path); !errors.Is(err, ErrBusy) {
		t.Errorf("one shared lock left: %v, want ErrBusy", err)
	}
	unlock(t, b)
}

func TestExclusiveExcludes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var inside int // the race detector and the count both tell
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				l, err := Exclusive(path)
				if err != nil {
					t.Error(err)
					return
				}
				inside++
				if inside != 1 {
					t.Errorf("%d holders at once", inside)
				}
				inside--
				if err := l.Unlock(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// Who waits for a lock while its holder removes or replaces the file must end with a lock of what
// path is then, or two processes would each hold "the" lock.
func TestWaiterFollowsPath(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, path string)
	}{
		{"removed", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}},
		{"replaced", func(t *testing.T, path string) {
			if err := os.WriteFile(path+".new", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			first := must(t)(Exclusive(path))
			got := waitFor(path)
			tt.change(t, path)
			unlock(t, first)
			r := <-got
			second := must(t)(r.l, r.err)
			if _, err := TryExclusive(path); !errors.Is(err, ErrBusy) {
				t.Errorf("path is not what the waiter holds: %v", err)
			}
			unlock(t, second)
		})
	}
}

func TestWaiterForRemovedDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	first := must(t)(Exclusive(path))
	got := waitFor(path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	unlock(t, first)
	if r := <-got; !errors.Is(r.err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", r.err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("a file was made where the directory was")
	}
}

func TestDeathUnlocks(t *testing.T) {
	path := os.Getenv("FLOCK_TEST_PATH")
	if path != "" { // the child: holds until it is killed
		l := must(t)(Exclusive(path))
		os.Stdout.WriteString("held\n")
		time.Sleep(time.Minute)
		unlock(t, l)
	}
	path = filepath.Join(t.TempDir(), "lock")
	child := exec.Command(os.Args[0], "-test.run=^TestDeathUnlocks$")
	child.Env = append(os.Environ(), "FLOCK_TEST_PATH="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { child.Process.Kill(); child.Wait() }()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(line, err)
	}
	if l, err := TryExclusive(path); !errors.Is(err, ErrBusy) {
		t.Fatalf("held by the child: %v, %v, want ErrBusy", l, err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	unlock(t, must(t)(Exclusive(path)))
}

func TestMissingDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "lock")
	if _, err := Exclusive(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}

type result struct {
	l   *Lock
	err error
}

// waitFor locks path in another goroutine and returns when that is likely waiting.
func waitFor(path string) <-chan result {
	c := make(chan result, 1)
	go func() {
		l, err := Exclusive(path)
		c <- result{l, err}
	}()
	time.Sleep(50 * time.Millisecond)
	return c
}

func must(t *testing.T) func(*Lock, error) *Lock {
	return func(l *Lock, err error) *Lock {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
}

func unlock(t *testing.T, l *Lock) {
	t.Helper()
	if err := l.Unlock(); err != nil {
		t.Error(err)
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

// Nobody sees the file before it is locked, so that one that is unlocked is of a process that was killed.
func TestFileIsLockedFromTheFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 2000 {
			l, err := Exclusive(path)
			if err == nil {
				err = errors.Join(os.Remove(path), l.Unlock())
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for {
		l, err := TryExclusive(path)
		if err == nil {
			t.Error("it was there unlocked")
			unlock(t, l)
		} else if !errors.Is(err, ErrBusy) && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

func TestExclusiveNow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	l := must(t)(ExclusiveNow(path))
	if _, err := ExclusiveNow(path); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	unlock(t, l)
	unlock(t, must(t)(ExclusiveNow(path)))
}

// The file that a symbolic link names is made, though the link is there.
func TestExclusiveFollowsALink(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("far", filepath.Join(dir, "lock")); err != nil {
		t.Fatal(err)
	}
	unlock(t, must(t)(Exclusive(filepath.Join(dir, "lock"))))
	if _, err := os.Lstat(filepath.Join(dir, "far")); err != nil {
		t.Error(err)
	}
}
