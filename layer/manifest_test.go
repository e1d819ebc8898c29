package layer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"testing"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer"
	lt "github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/layer/manifest"
)

// readManifest writes the manifest of a layer and begins to read it.
func readManifest(t testing.TB, dir string, changes iter.Seq[manifest.Change], sums *manifest.Sums) *manifest.Reader {
	t.Helper()
	kind, write := manifest.Directory, func(w *manifest.Writer) error {
		return manifest.WriteDirectory(context.Background(), w, openDir(t, dir), sums)
	}
	if changes != nil {
		kind, write = manifest.Changes, func(w *manifest.Writer) error {
			return manifest.WriteChanges(context.Background(), w, openDir(t, dir), changes, sums)
		}
	}
	path := filepath.Join(t.TempDir(), "manifest")
	must(t, manifest.WriteFile(path, kind, write))
	r, err := manifest.Open(path)
	must(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

// collect reads a manifest to its end.
func collect(t testing.TB, r *manifest.Reader) (entries []manifest.Entry) {
	t.Helper()
	for e, err := range r.All() {
		must(t, err)
		entries = append(entries, e)
	}
	return entries
}

// manifestsFit checks the manifests of a chain that is unpacked in both ways.
func manifestsFit(t testing.TB, tars ...[]byte) {
	t.Helper()
	whole := tempDir(t)
	must(t, lt.Apply(whole))
	var written [][]byte
	var alone []string
	for _, tar := range tars {
		sums := &manifest.Sums{}
		a, err := applyWith(t, whole, tar, layer.ApplyOptions{Sums: sums})
		must(t, err)
		written = append(written, readAll(t, whole, a, sums))
		var readers []*manifest.Reader
		for _, b := range written {
			r, err := manifest.NewReader(bytes.NewReader(b))
			must(t, err)
			readers = append(readers, r)
		}
		lt.CheckMerged(t, whole, readers)

		sums = &manifest.Sums{}
		dir := tempDir(t)
		a, err = applyWith(t, dir, tar, layer.ApplyOptions{Whiteouts: overlayWhiteouts{}, Sums: sums})
		must(t, err)
		parents := ""
		if len(alone) > 0 {
			parents = mount(t, alone...)
		}
		must(t, settle(t, dir, a.Needs, parents))
		if diff := lt.DiffEntries(collect(t, readManifest(t, dir, a.Changes, sums)), lt.Entries(t, dir)); diff != "" {
			t.Errorf("manifest of layer %d:\n%s", len(alone), diff)
		}
		alone = append(alone, dir)
	}
}

// readAll returns the bytes of the manifest of changes.
func readAll(t testing.TB, dir string, a layer.Applied, sums *manifest.Sums) []byte {
	t.Helper()
	var b bytes.Buffer
	w := manifest.NewWriter(&b, manifest.Changes)
	must(t, manifest.WriteChanges(context.Background(), w, openDir(t, dir), a.Changes, sums))
	must(t, w.Close())
	return b.Bytes()
}

// TestManifestNeedsNoReading: what was unpacked is not read again, and what Settle made is.
func TestManifestNeedsNoReading(t *testing.T) {
	testutil.RequireRoot(t)
	below, dir := tempDir(t), tempDir(t)
	applyAlone(t, below, lt.Tar(lt.File("below", "bytes from below")))
	sums := &manifest.Sums{}
	// The file that is replaced leaves its inode number to whatever comes next.
	a, err := applyWith(t, dir, lt.Tar(lt.File("a", "first"), lt.File("a", "second"), lt.Link("l", "below"), lt.File("b", "bb")),
		layer.ApplyOptions{Whiteouts: overlayWhiteouts{}, Sums: sums})
	must(t, err)
	must(t, settle(t, dir, a.Needs, mount(t, below)))
	want := lt.Entries(t, dir)
	if diff := lt.DiffEntries(collect(t, readManifest(t, dir, nil, sums)), want); diff != "" {
		t.Error(diff)
	}
	// A file that was noted may be changed behind its back: the manifest says what was unpacked.
	must(t, os.WriteFile(filepath.Join(dir, "b"), []byte("BB"), 0))
	for _, e := range collect(t, readManifest(t, dir, nil, sums)) {
		for _, w := range want {
			if e.Path == w.Path && e.SHA256 != w.SHA256 {
				t.Errorf("%q was read again", e.Path)
			}
		}
	}
	r := readManifest(t, dir, nil, sums)
	if _, err := r.Next(); err != nil || r.Kind() != manifest.Directory {
		t.Error(err)
	}
	for errors.Is(err, nil) {
		_, err = r.Next()
	}
	if !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}
