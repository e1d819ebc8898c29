package chain_test

import (
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lrun-dev/lrun/layer/layertest"
)

// TestMergedViewOfRandomImages draws layers from few names, so that they meet; and all images share one store.
func TestMergedViewOfRandomImages(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		names := []string{"a", "b", "a/b", "a/c", "b/a", "a/b/c", "b/a/d"}
		outer := t
		rapid.Check(t, func(t *rapid.T) {
			layers := make([][]byte, rapid.IntRange(1, 4).Draw(t, "layers"))
			m := model{}
			for i := range layers {
				layers[i] = randomLayer(t, names, m)
			}
			src := source(outer, layers...)
			s.check(outer, src)
			if outer.Failed() {
				t.FailNow()
			}
		})
	})
}

// model is what is there: whether a name is a directory.
type model map[string]bool

// remove takes away all below name, and name itself if it is to be replaced.
func (m model) remove(name string, itself bool) {
	for other := range m {
		if itself && other == name || strings.HasPrefix(other, name+"/") {
			delete(m, other)
		}
	}
}

// underFile tells whether a parent of name is something else than a directory.
func (m model) underFile(name string) bool {
	for parent := filepath.Dir(name); parent != "."; parent = filepath.Dir(parent) {
		if isDir, ok := m[parent]; ok && !isDir {
			return true
		}
	}
	return false
}

// randomLayer draws a layer that is valid on m, and applies it to m.
func randomLayer(r *rapid.T, names []string, m model) []byte {
	var entries []entry
	touched := map[string]bool{} // by a whiteout or file: nothing below them in this layer
	if rapid.Bool().Draw(r, "names root") {
		entries = append(entries, rootDir(0o711))
	}
	for _, name := range names {
		if m.underFile(name) || touched[filepath.Dir(name)] || touched[filepath.Dir(filepath.Dir(name))] {
			continue
		}
		switch rapid.IntRange(0, 6).Draw(r, name) {
		case 0:
			entries = append(entries, dir(name, 0o750))
			if isDir, ok := m[name]; ok && !isDir {
				m.remove(name, true)
			}
			m[name] = true
		case 1:
			entries = append(entries, file(name, name))
			m.remove(name, true)
			m[name], touched[name] = false, true
		case 2:
			entries = append(entries, layertest.Whiteout(name))
			m.remove(name, true)
			touched[name] = true
		case 3:
			entries = append(entries, dir(name, 0o700), layertest.Opaque(name))
			m.remove(name, true)
			m[name] = true
		default: // not in this layer
		}
	}
	return layertest.Tar(entries...)
}
