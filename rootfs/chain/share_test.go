package chain_test

import (
	"testing"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer/layertest"
)

// TestLayersAreShared looks at which directories serve several chains.
func TestLayersAreShared(t *testing.T) {
	testutil.RequireRoot(t)
	base, other := layertest.Tar(rootDir(0o755), dir("a", 0o755)), layertest.Tar(rootDir(0o755), dir("b", 0o755))
	plain := layertest.Tar(dir("c", 0o755), file("c/f", "f"))
	named := layertest.Tar(rootDir(0o700), dir("c", 0o755), file("c/f", "f"))
	implied := layertest.Tar(file("a/f", "f"))
	private := layertest.Tar(rootDir(0o700), dir("b", 0o755))
	for name, c := range map[string]struct {
		one, two [][]byte
		layer    int // of both, to be compared
		shared   bool
	}{
		"the same chain":                     {[][]byte{base, plain}, [][]byte{base, plain, other}, 1, true},
		"a plain layer":                      {[][]byte{base, plain}, [][]byte{other, plain}, 1, true},
		"a layer that names its root":        {[][]byte{base, named}, [][]byte{private, named}, 1, true},
		"a layer that takes over its root":   {[][]byte{base, plain}, [][]byte{private, plain}, 1, false},
		"a layer that needs the ones below":  {[][]byte{base, implied}, [][]byte{other, implied}, 1, false},
		"the bottom on another":              {[][]byte{plain, base}, [][]byte{base, plain}, 1, false},
		"a plain layer that is there twice":  {[][]byte{base, named, base}, [][]byte{other, named}, 1, true},
		"the bottom, which names its root":   {[][]byte{named, base}, [][]byte{named, other}, 0, true},
		"the same layer at different levels": {[][]byte{base, other, named}, [][]byte{base, private, named}, 2, true},
	} {
		for when, together := range map[string]bool{"at once": true, "one after the other": false} {
			t.Run(name+", "+when, func(t *testing.T) {
				s := open(t, t.TempDir(), "overlayfs")
				one, two := source(t, c.one...), source(t, c.two...)
				if together {
					s.make(t, one, two)
				} else {
					s.make(t, one)
					s.make(t, two)
				}
				infos := s.infos(t)
				a, b := infos[one.Image.ChainIDs()[c.layer].String()], infos[two.Image.ChainIDs()[c.layer].String()]
				if a.ID == "" || b.ID == "" {
					t.Fatalf("a layer is missing: %+v", infos)
				}
				if got := a.ID == b.ID; got != c.shared {
					t.Errorf("shared: %v, want %v (labels %v and %v)", got, c.shared, a.Labels, b.Labels)
				}
				s.agree(t, one)
				s.agree(t, two)
			})
		}
	}
}

// TestALayerThatIsThereTwiceIsKeptOnce is about one image: the kernel refuses one directory twice
// (ELOOP), and two copies would be waste.
func TestALayerThatIsThereTwiceIsKeptOnce(t *testing.T) {
	testutil.RequireRoot(t)
	s := open(t, t.TempDir(), "overlayfs")
	base, change, empty := layertest.Tar(rootDir(0o755), file("f", "1")), layertest.Tar(file("f", "2")), layertest.Tar()
	src := source(t, base, change, empty, change, empty, base)
	s.make(t, src)
	ids := map[string]int{}
	for _, info := range s.infos(t) {
		ids[info.ID]++
	}
	if len(ids) != 3 {
		t.Errorf("%d directories for 3 different layers: %v", len(ids), ids)
	}
	s.agree(t, src)
}

// TestXattrsOfTheRoot has the root's attributes decide whether a layer is shared.
func TestXattrsOfTheRoot(t *testing.T) {
	testutil.RequireRoot(t)
	s := open(t, t.TempDir(), "overlayfs")
	marked := rootDir(0o755)
	layertest.Xattr("user.mark", "x")(&marked)
	plain := layertest.Tar(dir("c", 0o755))
	one, two := source(t, layertest.Tar(rootDir(0o755)), plain), source(t, layertest.Tar(marked), plain)
	s.make(t, one, two)
	if a, b := s.infos(t)[top(one)].ID, s.infos(t)[top(two)].ID; a == b {
		t.Error("one directory serves two chains whose roots have different attributes")
	}
	s.agree(t, one)
	s.agree(t, two)
}
