package chain_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/rootfs/chain"
	"github.com/lrun-dev/lrun/snapshot"
)

// counted counts how often each blob of src is opened.
func counted(src chain.Source) (chain.Source, *[500]atomic.Int32) {
	var opened [500]atomic.Int32
	open := src.Open
	src.Open = func(layer int) (io.ReadCloser, error) {
		opened[layer].Add(1)
		return open(layer)
	}
	return src, &opened
}

func TestManyAtOnceUnpackALayerOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		a, b, c := layertest.Tar(rootDir(0o755), file("a", "a")), layertest.Tar(file("b", "b")), layertest.Tar(file("c", "c"))
		one, openedOne := counted(source(t, a, b))
		two, openedTwo := counted(source(t, a, b, c))
		var g sync.WaitGroup
		for i := range 6 {
			g.Go(func() {
				src := one
				if i%2 == 0 {
					src = two
				}
				other := open(t, s.root, s.driver) // as another process would
				if err := other.maker.Make(t.Context(), other.task(src)); err != nil {
					t.Error(err)
				}
			})
		}
		g.Wait()
		for layer := range 3 {
			if n := openedOne[layer].Load() + openedTwo[layer].Load(); n != 1 {
				t.Errorf("layer %d was unpacked %d times", layer, n)
			}
		}
		s.agree(t, one)
		s.agree(t, two)
		if left, _ := filepath.Glob(filepath.Join(s.root, "unpack/*")); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
}

// TestLayersAreLockedInOneOrder keeps two processes from waiting for each other, whose images have the
// same layers in opposite order: while the lock of the first is another's, none of the others is held.
func TestLayersAreLockedInOneOrder(t *testing.T) {
	testutil.RequireRoot(t)
	s := open(t, t.TempDir(), "overlayfs")
	layers := [][]byte{layertest.Tar(file("a", "a")), layertest.Tar(file("b", "b")), layertest.Tar(file("c", "c"))}
	slices.SortFunc(layers, func(a, b []byte) int {
		return strings.Compare(digest.FromBytes(b).String(), digest.FromBytes(a).String())
	})
	src := source(t, layers...)
	path := func(i int) string {
		return filepath.Join(s.root, "unpack", "layer-sha256-"+src.Image.Config.RootFS.DiffIDs[i].Encoded())
	}
	if err := os.Mkdir(filepath.Join(s.root, "unpack"), 0o700); err != nil {
		t.Fatal(err)
	}
	first, err := flock.Exclusive(path(2))
	if err != nil {
		t.Fatal(err)
	}
	made := make(chan error)
	go func() { made <- s.maker.Make(t.Context(), s.task(src)) }()
	for range 20 {
		for i := range 2 {
			if _, err := os.Stat(path(i)); err == nil {
				t.Fatalf("layer %d is locked before layer 2", i)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-made; err != nil {
		t.Error(err)
	}
}

// TestSweep leaves the sessions of the living alone.
func TestSweep(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		// What a killed process leaves.
		if _, err := s.snapshots.Prepare(t.Context(), "unpack-dead-1", ""); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(s.root, "unpack"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"session-dead", "layer-sha256-0123"} {
			if err := os.WriteFile(filepath.Join(s.root, "unpack", name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		// What is somebody's.
		if _, err := s.snapshots.Prepare(t.Context(), "unpacked", ""); err != nil {
			t.Fatal(err)
		}
		task := s.task(source(t, layertest.Tar(file("a", "a")), layertest.Tar(file("b", "b"))))
		var during map[string]snapshot.Info
		task.Sync = func() error {
			if err := s.maker.Sweep(t.Context()); err != nil {
				t.Error(err)
			}
			during = s.infos(t)
			for _, info := range during {
				if info.Kind == snapshot.Committed && info.Labels[chain.LabelSession] == "" {
					t.Errorf("nobody claims %+v", info)
				}
				if id := info.Labels[chain.LabelSession]; id != "" {
					if alive, err := s.maker.Alive(id); !alive || err != nil {
						t.Errorf("session %s is not alive at work: %v", id, err)
					}
				}
			}
			return nil
		}
		if err := s.maker.Make(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		if len(during) != 3 { // "unpacked" and two layers, committed or not
			t.Errorf("the sweep left %v", during)
		}
		for _, info := range s.infos(t) {
			if id := info.Labels[chain.LabelSession]; id != "" {
				if alive, err := s.maker.Alive(id); alive || err != nil {
					t.Errorf("session %s is alive after its end: %v", id, err)
				}
			}
		}
		if left, _ := filepath.Glob(filepath.Join(s.root, "unpack/*")); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
}

// TestLockedGivesUp lets Ctrl-C end a wait for another process.
func TestLockedGivesUp(t *testing.T) {
	s := open(t, t.TempDir(), "vfs")
	l, err := flock.Shared(filepath.Join(s.root, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := s.maker.LockedShared(ctx, func() error { cancel(); return nil }); err != nil {
		t.Errorf("shared together with another: %v", err)
	}
	err = s.maker.Locked(ctx, func() error { t.Error("got the lock"); return nil })
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), s.root) {
		t.Errorf("got %v", err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	s.unlocked(t)
}

// unlocked waits until nobody holds the lock of the root or waits for it: one who has given up the
// wait still gets the lock, and releases it.
func (s store) unlocked(t testing.TB) {
	t.Helper()
	info, err := os.Stat(filepath.Join(s.root, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	inode := fmt.Sprintf(":%d ", info.Sys().(*syscall.Stat_t).Ino)
	for range 1000 {
		locks, err := os.ReadFile("/proc/locks")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(locks), inode) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the root is still locked")
}

// TestCancelledWhileAnotherHasTheRoot takes back what had to be committed before.
func TestCancelledWhileAnotherHasTheRoot(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		l, err := flock.Exclusive(filepath.Join(s.root, "lock"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		task := s.task(source(t, layertest.Tar(file("a", "a")), layertest.Tar(file("b", "b"))))
		var g sync.WaitGroup
		task.Sync = func() error { // the last thing before the lock
			g.Go(func() {
				time.Sleep(50 * time.Millisecond)
				cancel()
				time.Sleep(50 * time.Millisecond)
				if err := l.Unlock(); err != nil {
					t.Error(err)
				}
			})
			return nil
		}
		if err := s.maker.Make(ctx, task); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		g.Wait()
		s.unlocked(t)
		s.isEmpty(t)
	})
}
