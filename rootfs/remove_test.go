package rootfs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/rootfs"
)

func ExampleRemoved_Lines() {
	r := rootfs.Removed{Untagged: []string{"busybox:latest"}, Deleted: []string{"sha256:beae17…", "sha256:95c4a6…"}}
	fmt.Println(strings.Join(r.Lines(), "\n"))
	// Output:
	// Untagged: busybox:latest
	// Deleted: sha256:beae17…
	// Deleted: sha256:95c4a6…
}

// used says that a container uses every image.
func used(container string, running bool) func() (rootfs.InUse, error) {
	return func() (rootfs.InUse, error) {
		return func(digest.Digest) (string, bool) { return container, running }, nil
	}
}

// TestRemove takes names away until the image goes, with the layers that are its alone, top first.
func TestRemove(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		keep := w.mustAdd(t, spec{layers: [][]byte{base}, refs: []string{"keep"}})
		before := w.files(t)
		im := w.mustAdd(t, spec{layers: [][]byte{base, change, another}, refs: []string{"one", "two"}, repoDigest: digest.FromString("repo")})
		full := w.files(t)
		removed, err := w.Remove(t.Context(), "one", false, nil)
		want := []string{"Untagged: one:latest", "Untagged: one@" + digest.FromString("repo").String()}
		if err != nil || !slices.Equal(removed.Lines(), want) {
			t.Fatalf("%q, %v; want %q", removed.Lines(), err, want)
		}
		if got := w.files(t); len(got) != len(full) {
			t.Errorf("more than a name has gone: %s", layertest.Diff(got, full))
		}
		removed, err = w.Remove(t.Context(), "two", false, nil)
		chains := im.ChainIDs()
		want = []string{
			"Untagged: two:latest", "Untagged: two@" + digest.FromString("repo").String(),
			"Deleted: " + im.ID.String(), "Deleted: " + chains[2].String(), "Deleted: " + chains[1].String(),
		}
		if err != nil || !slices.Equal(removed.Lines(), want) {
			t.Errorf("%q, %v; want %q", removed.Lines(), err, want)
		}
		w.unchanged(t, before)
		w.agree(t, keep, [][]byte{base})
		if removed, err := w.Remove(t.Context(), "two", false, nil); !errdefs.IsNotFound(err) || len(removed.Lines()) > 0 {
			t.Errorf("what is gone: %q, %v", removed.Lines(), err)
		}
	})
}

// TestRemoveRefuses changes nothing when it does.
func TestRemoveRefuses(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		im := w.mustAdd(t, spec{layers: [][]byte{base}, refs: []string{"one", "two"}})
		before := w.files(t)
		running := used("c0ffee0123456789", true)
		for _, arg := range []string{im.ID.String(), im.ID.Encoded()[:6]} {
			if removed, err := w.Remove(t.Context(), arg, true, running); !errdefs.IsFailedPrecondition(err) || len(removed.Lines()) > 0 {
				t.Errorf("%q, %v", removed.Lines(), err)
			}
			if removed, err := w.Remove(t.Context(), arg, false, nil); !errdefs.IsFailedPrecondition(err) || len(removed.Lines()) > 0 {
				t.Errorf("%q, %v", removed.Lines(), err)
			}
		}
		w.unchanged(t, before)
	})
}

// TestRemoveForcedFromARunningContainer leaves the image without a name.
func TestRemoveForcedFromARunningContainer(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		im := w.mustAdd(t, spec{layers: [][]byte{base}, refs: []string{"one"}})
		running := used("c0ffee0123456789", true)
		removed, err := w.Remove(t.Context(), "one", true, running)
		if want := []string{"Untagged: one:latest"}; err != nil || !slices.Equal(removed.Lines(), want) {
			t.Errorf("%q, %v; want %q", removed.Lines(), err, want)
		}
		records, err := w.Images.List(t.Context())
		if err != nil || len(records) != 1 || !records[0].Ref.IsZero() || records[0].Image != im.ID {
			t.Errorf("records %+v, %v", records, err)
		}
		w.whole(t)
	})
}

// TestRemoveByDigest takes a digest away and leaves the tag.
func TestRemoveByDigest(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		d := digest.FromString("repo")
		w.mustAdd(t, spec{layers: [][]byte{base}, refs: []string{"one"}, repoDigest: d})
		removed, err := w.Remove(t.Context(), "one@"+d.String(), false, nil)
		if want := []string{"Untagged: one@" + d.String()}; err != nil || !slices.Equal(removed.Lines(), want) {
			t.Errorf("%q, %v; want %q", removed.Lines(), err, want)
		}
		records, err := w.Images.List(t.Context())
		if err != nil || len(records) != 1 || records[0].Ref.Familiar() != "one:latest" || records[0].RepoDigest != "" {
			t.Errorf("records %+v, %v", records, err)
		}
	})
}

// TestRemoveADamagedImage takes away what can be told, and the sweep that follows the rest.
func TestRemoveADamagedImage(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		keep := w.mustAdd(t, spec{layers: [][]byte{base, another}, refs: []string{"keep"}})
		before := w.files(t)
		im := w.mustAdd(t, spec{layers: [][]byte{base, change}, refs: []string{"one"}})
		if err := os.Remove(filepath.Join(w.root, "images/blobs/sha256", im.ID.Encoded())); err != nil {
			t.Fatal(err)
		}
		removed, err := w.Remove(t.Context(), "one", false, nil)
		if want := []string{"Untagged: one:latest", "Deleted: " + im.ID.String()}; err != nil || !slices.Equal(removed.Lines(), want) {
			t.Errorf("%q, %v; want %q", removed.Lines(), err, want)
		}
		w.unchanged(t, before)
		w.agree(t, keep, [][]byte{base, another})
	})
}

// TestRemoveBesideADamagedImage removes no layer and no blob: nobody knows what the damaged one needs.
func TestRemoveBesideADamagedImage(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		damaged := w.mustAdd(t, spec{layers: [][]byte{base, change}, refs: []string{"damaged"}})
		im := w.mustAdd(t, spec{layers: [][]byte{base, another}, refs: []string{"one"}})
		config := filepath.Join(w.root, "images/blobs/sha256", damaged.ID.Encoded())
		good, err := os.ReadFile(config)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(config); err != nil {
			t.Fatal(err)
		}
		removed, err := w.Remove(t.Context(), "one", false, nil)
		if !errdefs.IsDataLoss(err) || !strings.Contains(err.Error(), damaged.ID.String()) || !slices.Contains(removed.Deleted, im.ID.String()) {
			t.Errorf("%q, %v", removed.Lines(), err)
		}
		if _, err := w.Snapshots.Stat(t.Context(), im.ChainIDs()[1].String()); err != nil {
			t.Errorf("a layer is removed: %v", err)
		}
		if err := os.WriteFile(config, good, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := w.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Snapshots.Stat(t.Context(), im.ChainIDs()[1].String()); !errdefs.IsNotFound(err) {
			t.Errorf("the sweep left the layer: %v", err)
		}
		w.agree(t, damaged, [][]byte{base, change})
		w.whole(t)
	})
}

// TestOneRemovalThatFailsDoesNotStopTheRest has a layer that resists.
func TestOneRemovalThatFailsDoesNotStopTheRest(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		keep := w.mustAdd(t, spec{layers: [][]byte{base}, refs: []string{"keep"}})
		before := w.files(t)
		im := w.mustAdd(t, spec{layers: [][]byte{base, another, change}, refs: []string{"one"}})
		path, err := w.Snapshots.Path(t.Context(), im.ChainIDs()[2].String())
		if err != nil {
			t.Fatal(err)
		}
		free := pin(t, path)
		removed, err := w.Remove(t.Context(), "one", false, nil)
		if err == nil {
			t.Error("no error: the layer did not resist")
		}
		for _, want := range []string{im.ID.String(), im.ChainIDs()[2].String(), im.ChainIDs()[1].String()} {
			if !slices.Contains(removed.Deleted, want) {
				t.Errorf("%s is not deleted: %q, %v", want, removed.Lines(), err)
			}
		}
		free()
		if err := w.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		w.unchanged(t, before)
		w.agree(t, keep, [][]byte{base})
	})
}

func TestTag(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		im := w.mustAdd(t, spec{layers: [][]byte{base}, refs: []string{"one"}})
		for _, c := range []struct {
			src, dst string
			is       func(error) bool
		}{
			{"one", "two", nil},
			{im.ID.Encoded()[:8], "example.com/three:3", nil},
			{"none", "four", errdefs.IsNotFound},
			{"one", "five@" + im.ID.String(), errdefs.IsInvalidArgument},
			{"one", "UPPER", errdefs.IsInvalidArgument},
		} {
			err := w.Tag(t.Context(), c.src, c.dst)
			if c.is == nil && err != nil || c.is != nil && !c.is(err) {
				t.Errorf("tag %s %s: %v", c.src, c.dst, err)
			}
		}
		records, err := w.Images.List(t.Context())
		var names []string
		for _, r := range records {
			names = append(names, r.Ref.Familiar())
		}
		slices.Sort(names)
		if want := []string{"example.com/three:3", "one:latest", "two:latest"}; err != nil || !slices.Equal(names, want) {
			t.Errorf("names %q, %v; want %q", names, err, want)
		}
	})
}
