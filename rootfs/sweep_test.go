package rootfs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/image/builtin"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/snapshot"
)

// pin makes the directory dir impossible to delete, whatever it is renamed to, until free is called:
// something is mounted in it.
func pin(t testing.TB, dir string) (free func()) {
	t.Helper()
	busy := filepath.Join(dir, "busy")
	if err := os.Mkdir(busy, 0o700); err != nil {
		t.Fatal(err)
	}
	m := mount.Mount{Type: "tmpfs", Source: "tmpfs"}
	if err := m.At(busy); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(busy)
	if err != nil {
		t.Fatal(err)
	}
	free = sync.OnceFunc(func() {
		if err := unix.Unmount(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
		f.Close()
	})
	t.Cleanup(free)
	return free
}

// TestSweep removes everything that nothing needs, and nothing else.
func TestSweep(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		im := w.mustAdd(t, spec{layers: [][]byte{base, change}, refs: []string{"one"}})
		if _, err := w.Prepare(ctx, "c1", im, rootfs.PrepareOptions{}); err != nil {
			t.Fatal(err)
		}
		before := w.files(t)

		// A blob that nothing names, and an ingest whose process has died.
		if err := os.WriteFile(filepath.Join(w.root, "images/blobs/sha256", digest.FromString("x").Encoded()), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(w.root, "ingest/dead"), 0o700); err != nil {
			t.Fatal(err)
		}
		// An index that was never finished.
		if err := os.WriteFile(filepath.Join(w.root, "images/.tmp-1"), []byte("{"), 0o644); err != nil {
			t.Fatal(err)
		}
		// Layers that no image has: two of them on one that an image has.
		parent := im.ChainIDs()[0].String()
		for _, name := range []string{"sha256:orphan-1", "sha256:orphan-2"} {
			if _, err := w.Snapshots.Prepare(ctx, "x", parent); err != nil {
				t.Fatal(err)
			}
			if err := w.Snapshots.Commit(ctx, name, "x", snapshot.WithLabels(map[string]string{"dev.lrun.session": "dead"})); err != nil {
				t.Fatal(err)
			}
			parent = name
		}
		// A layer half unpacked, and the locks of its session.
		if _, err := w.Snapshots.Prepare(ctx, "unpack-dead-1", ""); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"session-dead", "layer-sha256-0123"} {
			if err := os.WriteFile(filepath.Join(w.root, "unpack", name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		w.unchanged(t, before)
		w.whole(t)
	})
}

// TestSweepOfACleanRoot does not wait for the root's lock.
func TestSweepOfACleanRoot(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		im := w.mustAdd(t, spec{layers: [][]byte{base, change}, refs: []string{"one"}})
		builtIn, layers := hello(t, "lrun 1")
		if err := w.AddLayers(t.Context(), builtin.Hello, builtIn, layers); err != nil {
			t.Fatal(err)
		}
		before := w.files(t)
		blocked := func() (rootfs.InUse, error) { // called with the root locked
			ctx, cancel := context.WithTimeout(t.Context(), testutil.Patience(5*time.Second))
			defer cancel()
			if err := w.Sweep(ctx); err != nil {
				t.Error(err)
			}
			return used("c1", true)()
		}
		if _, err := w.Remove(t.Context(), im.ID.String(), true, blocked); !errdefs.IsFailedPrecondition(err) {
			t.Error(err)
		}
		w.unchanged(t, before)
	})
}

// TestSweepLeavesLayersOfContainers, whose image may be gone.
func TestSweepLeavesLayersOfContainers(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		im := w.mustAdd(t, spec{layers: [][]byte{base, change}, refs: []string{"one"}})
		if _, err := w.Prepare(t.Context(), "c1", im, rootfs.PrepareOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Remove(t.Context(), "one", true, nil); err != nil {
			t.Fatal(err)
		}
		if err := w.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		f, err := w.OpenRoot(t.Context(), "c1")
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if err := w.Snapshots.Remove(t.Context(), "c1"); err != nil { // as one would that died before Release
			t.Fatal(err)
		}
		if err := w.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := w.chains(t); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	})
}

// TestSweepGoesOnAfterAnError and says what it was.
func TestSweepGoesOnAfterAnError(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.mustAdd(t, spec{layers: [][]byte{base}, refs: []string{"one"}})
		before := w.files(t)
		for _, name := range []string{"sha256:1", "sha256:2", "sha256:3"} {
			if _, err := w.Snapshots.Prepare(ctx, "x", ""); err != nil {
				t.Fatal(err)
			}
			if err := w.Snapshots.Commit(ctx, name, "x"); err != nil {
				t.Fatal(err)
			}
		}
		path, err := w.Snapshots.Path(ctx, "sha256:2")
		if err != nil {
			t.Fatal(err)
		}
		free := pin(t, path)
		if err := w.Sweep(ctx); err == nil || !strings.Contains(err.Error(), w.root) {
			t.Errorf("got %v", err)
		}
		for _, name := range []string{"sha256:1", "sha256:3"} {
			if _, err := w.Snapshots.Stat(ctx, name); !errdefs.IsNotFound(err) {
				t.Errorf("%s is left: %v", name, err)
			}
		}
		free()
		if err := w.Sweep(ctx); err != nil {
			t.Error(err)
		}
		w.unchanged(t, before)
	})
}

// TestSweepBesideADamagedImage deletes nothing that the image may need, and the rest.
func TestSweepBesideADamagedImage(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		im := w.mustAdd(t, spec{layers: [][]byte{base, change}, refs: []string{"one"}})
		if err := os.Truncate(filepath.Join(w.root, "images/blobs/sha256", im.Manifest.Digest.Encoded()), 3); err != nil {
			t.Fatal(err)
		}
		before := w.files(t)
		if _, err := w.Snapshots.Prepare(t.Context(), "unpack-dead-1", ""); err != nil {
			t.Fatal(err)
		}
		if err := w.Sweep(t.Context()); !errdefs.IsDataLoss(err) || !strings.Contains(err.Error(), im.ID.String()) {
			t.Errorf("got %v", err)
		}
		w.unchanged(t, before)
	})
}

func TestSweepThatIsCancelled(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.Sweep(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
