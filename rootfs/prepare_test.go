package rootfs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/builtin"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/snapshot"
)

// mounted mounts the container's snapshot key, calls do with the directory, and unmounts it.
func mounted(t testing.TB, mounts []mount.Mount, do func(dir string)) {
	t.Helper()
	dir := t.TempDir()
	for _, m := range mounts {
		if err := m.At(dir); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		if err := mount.Unmount(dir); err != nil {
			t.Error(err)
		}
	}()
	do(dir)
}

// TestPrepare writes to a container and finds its layers as they were.
func TestPrepare(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		layers := [][]byte{base, change}
		im := w.mustAdd(t, spec{layers: layers, refs: []string{"one"}})
		var before []string
		for _, chain := range im.ChainIDs() {
			path, err := w.Snapshots.Path(t.Context(), chain.String())
			if err != nil {
				t.Fatal(err)
			}
			before = append(before, path, testutil.TreeHash(t, path))
		}
		mounts, err := w.Prepare(t.Context(), "c1", im, rootfs.PrepareOptions{Labels: map[string]string{"mine": "yes"}})
		if err != nil {
			t.Fatal(err)
		}
		mounted(t, mounts, func(dir string) {
			if err := errors.Join(os.WriteFile(dir+"/etc/passwd", []byte("changed"), 0o600), os.RemoveAll(dir+"/usr"), os.Remove(dir+"/lib")); err != nil {
				t.Error(err)
			}
		})
		for i := 0; i < len(before); i += 2 {
			if testutil.TreeHash(t, before[i]) != before[i+1] {
				t.Errorf("layer %d has changed", i/2)
			}
		}
		info, err := w.Snapshots.Stat(t.Context(), "c1")
		if err != nil || info.Labels["mine"] != "yes" || info.Labels[rootfs.LabelImage] != im.ID.String() || info.Volatile {
			t.Errorf("%+v, %v", info, err)
		}
		w.agree(t, im, layers)
		if _, err := w.Prepare(t.Context(), "c1", im, rootfs.PrepareOptions{}); !errdefs.IsAlreadyExists(err) {
			t.Errorf("the key is taken: %v", err)
		}
	})
}

func TestPrepareAnImageWithoutLayers(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		im := w.mustAdd(t, spec{refs: []string{"scratch"}})
		if got, err := w.view(t, "c1", im); err != nil || len(got) != 1 || !strings.HasPrefix(got[0], `"." 040755 0:0`) {
			t.Errorf("a container sees %q, %v", got, err)
		}
	})
}

// TestPrepareUnpacksForAnotherDriver has an image whose layers only the other driver has.
func TestPrepareUnpacksForAnotherDriver(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		other := map[string]string{"overlayfs": "vfs", "vfs": "overlayfs"}[w.driver]
		layers := [][]byte{base, change, another}
		im := w.mustAdd(t, spec{layers: layers, refs: []string{"one"}})
		second := mustOpen(t, w.root, other)
		var states []rootfs.State
		mounts, err := second.Prepare(t.Context(), "c1", im, rootfs.PrepareOptions{Progress: func(e rootfs.Event) { states = append(states, e.State) }})
		if err != nil || len(mounts) == 0 {
			t.Fatalf("%v, %v", mounts, err)
		}
		if !slices.Contains(states, rootfs.Done) {
			t.Errorf("no progress: %v", states)
		}
		second.agree(t, im, layers)
		states = nil
		if _, err := second.Prepare(t.Context(), "c2", im, rootfs.PrepareOptions{Progress: func(e rootfs.Event) { states = append(states, e.State) }}); err != nil || len(states) > 0 {
			t.Errorf("unpacked again: %v, %v", states, err)
		}
	})
}

func TestPrepareAnImageThatIsGone(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		im := w.mustAdd(t, spec{layers: [][]byte{base, change}, refs: []string{"one"}})
		if _, err := w.Remove(t.Context(), "one", false, nil); err != nil {
			t.Fatal(err)
		}
		before := w.files(t)
		_, err := w.Prepare(t.Context(), "c1", im, rootfs.PrepareOptions{})
		if !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), im.ID.String()) {
			t.Errorf("got %v", err)
		}
		w.unchanged(t, before)
	})
}

// TestPrepareWaitsForRemove has an image removed at the very moment that a container is made of it.
func TestPrepareWaitsForRemove(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		im := w.mustAdd(t, spec{layers: [][]byte{base, change}, refs: []string{"one"}})
		prepared := make(chan error, 1)
		_, err := w.Remove(t.Context(), "one", false, func() (rootfs.InUse, error) { // called with the root locked
			go func() {
				_, err := w.Prepare(context.Background(), "c1", im, rootfs.PrepareOptions{})
				prepared <- err
			}()
			select {
			case err := <-prepared:
				t.Errorf("a container was made meanwhile: %v", err)
			case <-time.After(100 * time.Millisecond):
			}
			return used("", false)()
		})
		if err != nil {
			t.Error(err)
		}
		if err := <-prepared; !errdefs.IsNotFound(err) {
			t.Errorf("a container of what is gone: %v", err)
		}
	})
}

// TestPrepareAnImageThatIsGoneWithoutItsLayers: another image has them too.
func TestPrepareAnImageThatIsGoneWithoutItsLayers(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		im := w.mustAdd(t, spec{layers: [][]byte{base}, refs: []string{"one"}})
		w.mustAdd(t, spec{layers: [][]byte{base, change}, refs: []string{"two"}})
		if _, err := w.Remove(t.Context(), "one", false, nil); err != nil {
			t.Fatal(err)
		}
		before := w.files(t)
		if _, err := w.Prepare(t.Context(), "c1", im, rootfs.PrepareOptions{}); !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), im.ID.String()) {
			t.Errorf("got %v", err)
		}
		w.unchanged(t, before)
	})
}

// TestPrepareOfDamagedBlobs says which layer is damaged and leaves nothing.
func TestPrepareOfDamagedBlobs(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		im := w.mustAdd(t, spec{layers: [][]byte{base, change}, refs: []string{"one"}})
		blob := filepath.Join(w.root, "images/blobs/sha256", im.Layers[0].Digest.Encoded())
		if err := os.WriteFile(blob, layertest.Tar(layertest.File("x", "evil")), 0o644); err != nil {
			t.Fatal(err)
		}
		second := mustOpen(t, w.root, map[string]string{"overlayfs": "vfs", "vfs": "overlayfs"}[w.driver])
		before := second.files(t)
		_, err := second.Prepare(t.Context(), "c1", im, rootfs.PrepareOptions{})
		if !errdefs.IsDataLoss(err) || !strings.Contains(err.Error(), im.Layers[0].Digest.String()) {
			t.Errorf("got %v", err)
		}
		second.unchanged(t, before)
	})
}

// TestOpenRoot reads what a container sees while it is mounted, and while it is not.
func TestOpenRoot(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		im := w.mustAdd(t, spec{layers: [][]byte{base, change}, refs: []string{"one"}})
		mounts, err := w.Prepare(t.Context(), "c1", im, rootfs.PrepareOptions{Volatile: true})
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		look := func(when string) {
			f, err := w.OpenRoot(t.Context(), "c1")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			dir := fmt.Sprintf("/proc/self/fd/%d/.", f.Fd())
			if diff := layertest.Diff(layertest.List(t, dir), want); diff != "" {
				t.Errorf("%s:\n%s", when, diff)
			}
			if err := os.WriteFile(dir+"/new", nil, 0o600); err == nil {
				t.Errorf("%s: it can be written to", when)
			}
		}
		mounted(t, mounts, func(dir string) {
			if err := errors.Join(os.WriteFile(dir+"/etc/passwd", []byte("changed"), 0o600), os.RemoveAll(dir+"/usr"), os.Mkdir(dir+"/usr", 0o711)); err != nil {
				t.Fatal(err)
			}
			want = layertest.List(t, dir)
			look("mounted")
		})
		look("unmounted")
		mounts, err = w.Snapshots.Mounts(t.Context(), "c1") // which renews a volatile one
		if err != nil {
			t.Fatal(err)
		}
		mounted(t, mounts, func(string) { look("mounted again") })
		if _, err := w.OpenRoot(t.Context(), "c2"); !errdefs.IsNotFound(err) {
			t.Errorf("no such container: %v", err)
		}
	})
}

// Who looks at a container that is being started leaves the marks of the kernel alone, which makes them one by one.
func TestLookingLeavesTheMarksOfAMount(t *testing.T) {
	testutil.RequireRoot(t)
	w := mustOpen(t, filepath.Join(t.TempDir(), "root"), "overlayfs")
	im := w.mustAdd(t, spec{layers: [][]byte{base}, refs: []string{"one"}})
	if _, err := w.Prepare(t.Context(), "c1", im, rootfs.PrepareOptions{Volatile: true}); err != nil {
		t.Fatal(err)
	}
	upper, err := w.Snapshots.Path(t.Context(), "c1")
	if err != nil {
		t.Fatal(err)
	}
	mark := filepath.Join(filepath.Dir(upper), "work", "work", "incompat", "volatile", "dirty")
	if err := errors.Join(os.MkdirAll(filepath.Dir(mark), 0o700), os.WriteFile(mark, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	f, err := w.OpenRoot(t.Context(), "c1")
	if err == nil {
		err = f.Close()
	}
	looked, lookErr := w.Snapshots.Look(t.Context(), "c1")
	if err := errors.Join(err, lookErr); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(mark); err != nil {
		t.Errorf("the mark is gone: %v", err)
	}
	mounts, err := w.Snapshots.Mounts(t.Context(), "c1")
	if err != nil || !reflect.DeepEqual(mounts, looked) {
		t.Errorf("got %+v, %v; want what was looked at, %+v", mounts, err, looked)
	}
	if _, err := os.Lstat(mark); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("who mounts it has not taken the mark away: %v", err)
	}
}

// TestRelease removes the layers of an image that was removed under the container, and no others.
func TestRelease(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		keep := w.mustAdd(t, spec{layers: [][]byte{base, another}, refs: []string{"keep"}})
		before := w.files(t)
		im := w.mustAdd(t, spec{layers: [][]byte{base, change}, refs: []string{"one"}})
		for _, key := range []string{"c1", "c2"} {
			if _, err := w.Prepare(t.Context(), key, im, rootfs.PrepareOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		removed, err := w.Remove(t.Context(), "one", true, used("c1", false))
		if want := []string{"Untagged: one:latest", "Deleted: " + im.ID.String()}; err != nil || !slices.Equal(removed.Lines(), want) {
			t.Errorf("%q, %v; want %q: the layers are the containers'", removed.Lines(), err, want)
		}
		if err := w.Release(t.Context(), "c1"); err != nil {
			t.Fatal(err)
		}
		chain := im.ChainIDs()[1].String()
		if _, err := w.Snapshots.Stat(t.Context(), chain); err != nil {
			t.Errorf("the other container's layer is gone: %v", err)
		}
		if err := w.Release(t.Context(), "c2"); err != nil {
			t.Fatal(err)
		}
		w.unchanged(t, before)
		w.agree(t, keep, [][]byte{base, another})
		if err := w.Release(t.Context(), "c2"); err != nil {
			t.Errorf("what is gone: %v", err)
		}
	})
}

// hello makes @hello out of an executable.
func hello(t testing.TB, content string) (image.Image, []func() io.Reader) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lrun")
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	im, layers, err := builtin.Image(t.Context(), builtin.Hello, f)
	if err != nil {
		t.Fatal(err)
	}
	return im, layers
}

// TestReleaseOfABuiltIn leaves its layers for the next run.
func TestReleaseOfABuiltIn(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		im, layers := hello(t, "lrun 1")
		if err := w.AddLayers(t.Context(), builtin.Hello, im, layers); err != nil {
			t.Fatal(err)
		}
		before := w.files(t)
		if _, err := w.Prepare(t.Context(), "c1", im, rootfs.PrepareOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := w.Release(t.Context(), "c1"); err != nil {
			t.Fatal(err)
		}
		w.unchanged(t, before)
	})
}

// TestReleaseReportsWhatIsWrong goes on to the lock only when there is something to do.
func TestReleaseReportsWhatIsWrong(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		im := w.mustAdd(t, spec{layers: [][]byte{base}, refs: []string{"one"}})
		if _, err := w.Prepare(t.Context(), "c1", im, rootfs.PrepareOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Snapshots.Prepare(t.Context(), "other", ""); err != nil {
			t.Fatal(err)
		}
		if err := w.Release(t.Context(), im.ChainIDs()[0].String()); !errdefs.IsInvalidArgument(err) {
			t.Errorf("a layer: %v", err)
		}
		if err := w.Release(t.Context(), "other"); err != nil {
			t.Errorf("a snapshot of no image: %v", err)
		}
		err := w.Snapshots.Walk(t.Context(), func(info snapshot.Info) error {
			if info.Key != "c1" && info.Key != im.ChainIDs()[0].String() {
				t.Errorf("left: %+v", info)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}
