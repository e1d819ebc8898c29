package rootfs_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/rootfs/check"
	"github.com/lrun-dev/lrun/rootfs/heal"
)

var healed = spec{layers: [][]byte{base, change, another}, refs: []string{"healed:1"}}

// healWith ingests s and heals what is stored of it. It returns which layers became new.
func (w *world) healWith(t testing.TB, s spec, free func(key string) error) ([]int, error) {
	t.Helper()
	in, err := w.Blobs.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	c, err := s.ingest(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	var layers []int
	err = heal.New(w.root, w.Snapshots).Heal(t.Context(), in, []image.Candidate{c}, free, func(_ image.Image, layer int) { layers = append(layers, layer) })
	return layers, err
}

func nobody(string) error { return nil }

// data is the directory of a layer, with its files in fs.
func (w *world) data(t testing.TB, im image.Image, layer int) string {
	t.Helper()
	path, err := w.Snapshots.Path(t.Context(), im.ChainIDs()[layer].String())
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(path)
}

// isSound compares all layers of im with their manifests, with the bytes.
func (w *world) isSound(t testing.TB, im image.Image) {
	t.Helper()
	for layer, id := range im.ChainIDs() {
		_, err := check.Layer(t.Context(), w.Snapshots, id.String(), true, func(path, problem string) {
			t.Errorf("layer %d, %s: %s", layer, path, problem)
		})
		if err != nil {
			t.Errorf("layer %d: %v", layer, err)
		}
	}
}

// firstFile is some file of the layer in dir that holds something.
func firstFile(t testing.TB, dir string) string {
	t.Helper()
	found := ""
	err := filepath.WalkDir(filepath.Join(dir, "fs"), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if fi, err := d.Info(); err != nil || fi.Size() == 0 {
			return err
		}
		found = path
		return filepath.SkipAll
	})
	if err != nil || found == "" {
		t.Fatalf("no file in %s, %v", dir, err)
	}
	return found
}

// TestHeal: a layer that is damaged is made new from what is loaded, with those below it sound and those above as
// they were; and a container sees what it should.
func TestHeal(t *testing.T) {
	tests := []struct {
		name   string
		damage func(t *testing.T, w *world, key, dir string) error
	}{
		{"a file is missing", func(t *testing.T, _ *world, _, dir string) error { return os.Remove(firstFile(t, dir)) }},
		{"a file is short", func(t *testing.T, _ *world, _, dir string) error { return os.Truncate(firstFile(t, dir), 0) }},
		{"a mode", func(t *testing.T, _ *world, _, dir string) error { return os.Chmod(firstFile(t, dir), 0o751) }},
		{"one file more", func(_ *testing.T, _ *world, _, dir string) error {
			return os.WriteFile(filepath.Join(dir, "fs/more"), nil, 0o600)
		}},
		{"no files at all", func(_ *testing.T, _ *world, _, dir string) error { return os.RemoveAll(filepath.Join(dir, "fs")) }},
		{"the manifest", func(_ *testing.T, _ *world, _, dir string) error {
			return os.Truncate(filepath.Join(dir, "manifest"), 30)
		}},
		{"all bytes", func(_ *testing.T, _ *world, _, dir string) error { return os.RemoveAll(dir) }},
		{"the record", func(_ *testing.T, w *world, key, _ string) error { return os.Remove(w.Snapshots.RecordPath(key)) }},
		{"an empty record", func(_ *testing.T, w *world, key, _ string) error { return os.Truncate(w.Snapshots.RecordPath(key), 0) }},
		{"a garbled record", func(_ *testing.T, w *world, key, _ string) error {
			return os.WriteFile(w.Snapshots.RecordPath(key), []byte("{"), 0)
		}},
		{"bytes, and somebody noted it", func(t *testing.T, w *world, key, dir string) error {
			name := firstFile(t, dir)
			fi, err := os.Stat(name)
			if err == nil {
				err = os.WriteFile(name, make([]byte, fi.Size()), 0)
			}
			return errors.Join(err, os.Chtimes(name, fi.ModTime(), fi.ModTime()), heal.New(w.root, w.Snapshots).Note(t.Context(), key))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, w *world) {
				im := w.mustAdd(t, healed)
				if _, err := w.Snapshots.Prepare(t.Context(), "container", im.ChainIDs()[2].String()); err != nil {
					t.Fatal(err)
				}
				for _, damaged := range [][]int{{0}, {2}, {1, 2}} {
					var dirs []string
					for _, layer := range damaged {
						dirs = append(dirs, w.data(t, im, layer))
					}
					for i, layer := range damaged {
						if err := tt.damage(t, w, im.ChainIDs()[layer].String(), dirs[i]); err != nil {
							t.Fatal(err)
						}
					}
					layers, err := w.healWith(t, healed, nobody)
					// Where layers hold those below, a damaged manifest puts those above in doubt.
					if err != nil || !slices.Equal(layers, damaged) && (w.driver == "overlayfs" || !contains(layers, damaged)) {
						t.Errorf("%v were damaged, %v were healed, %v", damaged, layers, err)
					}
					w.isSound(t, im)
					if _, err := w.Snapshots.Mounts(t.Context(), "container"); err != nil {
						t.Error(err)
					}
				}
				if err := w.Release(t.Context(), "container"); err != nil {
					t.Fatal(err)
				}
				w.agree(t, im, healed.layers)
				w.whole(t)
			})
		})
	}
}

func contains(all, some []int) bool {
	return !slices.ContainsFunc(some, func(i int) bool { return !slices.Contains(all, i) })
}

// TestHealNothing: what is sound, or has no manifest that this version can compare with, or is not stored at all, is left alone.
func TestHealNothing(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		busy := func(string) error { return errors.New("nothing was to be healed") }
		if layers, err := w.healWith(t, healed, busy); err != nil || layers != nil {
			t.Errorf("nothing is stored: %v, %v", layers, err)
		}
		im := w.mustAdd(t, healed)
		if err := os.Remove(filepath.Join(w.data(t, im, 0), "manifest")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(w.data(t, im, 2), "manifest"), []byte("lrun-manifest 2\nd and more"), 0o600); err != nil {
			t.Fatal(err)
		}
		before := w.files(t)
		if layers, err := w.healWith(t, healed, busy); err != nil || layers != nil {
			t.Errorf("all is sound: %v, %v", layers, err)
		}
		w.unchanged(t, before)
	})
}

// TestHealWhatGoes: a layer that somebody removes while it is made new, with what stands on it and what is below, needs no healing.
func TestHealWhatGoes(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		im := w.mustAdd(t, healed)
		if err := os.Remove(firstFile(t, w.data(t, im, 1))); err != nil {
			t.Fatal(err)
		}
		layers, err := w.healWith(t, healed, func(string) error { // the root is locked
			ids := im.ChainIDs()
			_, _, err := w.Snapshots.Forget(t.Context(), []string{ids[2].String(), ids[1].String(), ids[0].String()})
			return err
		})
		if err != nil || layers != nil {
			t.Errorf("%v, %v", layers, err)
		}
	})
}

// TestHealInUse: a layer that may not be replaced now stays as it is, and that is an error.
func TestHealInUse(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		im := w.mustAdd(t, healed)
		if err := os.Remove(firstFile(t, w.data(t, im, 0))); err != nil {
			t.Fatal(err)
		}
		before := w.files(t)
		inUse := errors.New("a container runs on it")
		if layers, err := w.healWith(t, healed, func(string) error { return inUse }); !errors.Is(err, inUse) || layers != nil {
			t.Errorf("%v, %v", layers, err)
		}
		w.unchanged(t, before)
	})
}

// TestAddSharesNoDamage: an image that has a layer in common with another one does not take over damaged bytes.
func TestAddSharesNoDamage(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		first := w.mustAdd(t, spec{layers: [][]byte{another, base}, refs: []string{"first:1"}})
		for layer := range 2 {
			if err := os.Remove(firstFile(t, w.data(t, first, layer))); err != nil {
				t.Fatal(err)
			}
		}
		last := rootfs.Event{}
		in := w.begin(t)
		c, err := healed.ingest(t.Context(), in)
		if err == nil {
			_, err = w.Add(t.Context(), in, []image.Candidate{c}, func(e rootfs.Event) { last = e })
		}
		if err != nil || last.State != rootfs.Done {
			t.Fatalf("%+v, %v", last, err)
		}
		w.isSound(t, c.Image)
		w.agree(t, c.Image, healed.layers)
	})
}
