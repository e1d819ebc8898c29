package chain_test

import (
	"os"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/layer/manifest"
	"github.com/lrun-dev/lrun/rootfs/chain"
)

// manifestsFit holds the manifests of the chain of src against what lies on disk: each against its own directory, or
// for a driver that copies, all together against the whole tree.
func (s store) manifestsFit(t testing.TB, src chain.Source) {
	t.Helper()
	var below []*manifest.Reader
	for i, id := range src.Image.ChainIDs() {
		r, err := s.maker.Manifest(t.Context(), id.String())
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		below = append(below, r)
		dir, err := s.snapshots.Path(t.Context(), id.String())
		if err != nil {
			t.Fatal(err)
		}
		if s.driver == "vfs" {
			if i == len(src.Image.Layers)-1 {
				layertest.CheckMerged(t, dir, below)
			}
			continue
		}
		var got []manifest.Entry
		for e, err := range r.All() {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e)
		}
		if diff := layertest.DiffEntries(got, layertest.Entries(t, dir)); diff != "" {
			t.Errorf("manifest of layer %d:\n%s", i, diff)
		}
	}
}

// TestManifestOfOlderStores: a snapshot that was made without a manifest is as good as before.
func TestManifestOfOlderStores(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		src := source(t, layertest.Tar(file("a", "a")), layertest.Tar(file("b", "b")))
		s.make(t, src)
		path, err := s.snapshots.ManifestPath(t.Context(), top(src))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if _, err := s.maker.Manifest(t.Context(), top(src)); !errdefs.IsNotFound(err) {
			t.Errorf("a manifest that is not there: %v", err)
		}
		if _, err := s.maker.Manifest(t.Context(), "none"); !errdefs.IsNotFound(err) {
			t.Errorf("a snapshot that is not there: %v", err)
		}
		s.make(t, src)
		s.merged(t, src, func(string) {})
	})
}
