package rootfs_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/snapshot"
	"github.com/lrun-dev/lrun/snapshot/vfs"
)

// An archive that has no manifest does not take away the one under which the same image was published.
func TestAddKeepsThePublishedManifest(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		published := spec{layers: [][]byte{base, change}, refs: []string{"one"}, repoDigest: digest.FromString("repo")}
		im := w.mustAdd(t, published)
		before := w.files(t)
		archive := spec{layers: published.layers, refs: []string{"one"}, plain: true}
		if other := w.mustAdd(t, archive); other.ID != im.ID || other.Manifest.Digest == im.Manifest.Digest {
			t.Fatal("the test does not test: the images have different configs, or one manifest")
		}
		w.unchanged(t, before)

		// Under another name it is the same image, which the other repository knows by no digest.
		archive.refs = []string{"two", "one:other"}
		w.mustAdd(t, archive)
		records, err := w.Images.List(t.Context())
		if err != nil || len(records) != 3 {
			t.Fatalf("%+v, %v", records, err)
		}
		for _, r := range records {
			want := published.repoDigest
			if r.Ref.Familiar() == "two:latest" {
				want = ""
			}
			if r.Manifest.Digest != im.Manifest.Digest || r.RepoDigest != want {
				t.Errorf("%s has manifest %s and the digest %q", r.Ref.Familiar(), r.Manifest.Digest, r.RepoDigest)
			}
		}
		w.whole(t)
	})
}

// A published image that is not whole any more is worth less than one that is.
func TestAddReplacesAManifestThatIsNotWhole(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		published := spec{layers: [][]byte{base, change}, refs: []string{"one"}, repoDigest: digest.FromString("repo")}
		im := w.mustAdd(t, published)
		if err := os.Remove(filepath.Join(w.root, "images/blobs/sha256", im.Layers[1].Digest.Encoded())); err != nil {
			t.Fatal(err)
		}
		archive := w.mustAdd(t, spec{layers: published.layers, refs: []string{"one"}, plain: true})
		records, err := w.Images.List(t.Context())
		if err != nil || len(records) != 1 || records[0].Manifest.Digest != archive.Manifest.Digest || records[0].RepoDigest != "" {
			t.Errorf("%+v, %v", records, err)
		}
		if err := w.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.whole(t)
	})
}

// A pull goes the other way: what was loaded from an archive gets its published manifest.
func TestAddPublishedOverArchive(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		w.mustAdd(t, spec{layers: [][]byte{base, change}, refs: []string{"one"}, plain: true})
		im := w.mustAdd(t, spec{layers: [][]byte{base, change}, refs: []string{"one"}, repoDigest: digest.FromString("repo")})
		records, err := w.Images.List(t.Context())
		if err != nil || len(records) != 1 || records[0].Manifest.Digest != im.Manifest.Digest || records[0].RepoDigest == "" {
			t.Errorf("%+v, %v", records, err)
		}
	})
}

// watched is a driver that looks whether the root is locked while bytes are deleted.
type watched struct {
	snapshot.Driver
	lock   string
	locked *[]string
}

func (d watched) Remove(ctx context.Context, id string) error {
	l, err := flock.TryExclusive(d.lock)
	switch {
	case errors.Is(err, flock.ErrBusy):
		*d.locked = append(*d.locked, id)
	case err != nil:
		return err
	default:
		if err := l.Unlock(); err != nil {
			return err
		}
	}
	return d.Driver.Remove(ctx, id)
}

// Deleting takes as long as there are files; nobody waits for the root's lock that long.
func TestBytesAreDeletedWithoutTheLock(t *testing.T) {
	testutil.RequireRoot(t)
	w := mustOpen(t, filepath.Join(t.TempDir(), "root"), "vfs")
	var locked []string
	dir := filepath.Join(w.root, "snapshots", "vfs")
	snapshots, err := snapshot.Open(dir, watched{vfs.New(filepath.Join(dir, "data")), filepath.Join(w.root, "lock"), &locked})
	if err != nil {
		t.Fatal(err)
	}
	w.Store = rootfs.Open(w.root, w.Images, w.Blobs, snapshots)
	one := spec{layers: [][]byte{base, change}, refs: []string{"one"}}
	w.mustAdd(t, one)
	removed, err := w.Remove(t.Context(), "one", false, nil)
	if err != nil || len(removed.Deleted) != 3 {
		t.Errorf("%+v, %v", removed, err)
	}
	// The container keeps the layers until it goes.
	im := w.mustAdd(t, one)
	if _, err := w.Prepare(t.Context(), "c", im, rootfs.PrepareOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Remove(t.Context(), "one", true, used("c", false)); err != nil {
		t.Error(err)
	}
	if err := w.Release(t.Context(), "c"); err != nil {
		t.Error(err)
	}
	if left := w.chains(t); len(left)+len(locked) > 0 {
		t.Errorf("left %q, deleted under the lock %q", left, locked)
	}
}

// An image that is removed and added again all the time is whole or not there whenever it is looked at.
func TestLoadWhileRemovedAndAdded(t *testing.T) {
	testutil.RequireRoot(t)
	w := mustOpen(t, filepath.Join(t.TempDir(), "root"), "vfs")
	s := spec{layers: [][]byte{base}, refs: []string{"one"}}
	w.mustAdd(t, s)
	records, err := w.Images.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		for range 60 {
			_, err := w.Remove(t.Context(), "one", false, nil)
			if err == nil {
				_, err = w.add(t.Context(), s)
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
		if _, err := w.Images.Load(t.Context(), records[0]); err != nil && !errdefs.IsNotFound(err) {
			t.Fatal(err)
		}
	}
}
