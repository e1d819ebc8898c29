package layer_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/testutil"
	lt "github.com/lrun-dev/lrun/layer/layertest"
)

// chains is how many random chains TestMergedView tries; LRUN_TEST_CHAINS sets another number.
const chains = 60

// TestMergedView: whatever a chain of layers holds, unpacked out of order, settled and mounted by the kernel it is
// the same tree as unpacked in order, and both are the tree of the oracle.
func TestMergedView(t *testing.T) {
	testutil.RequireRoot(t)
	n, first := chains, uint64(1)
	if s := os.Getenv("LRUN_TEST_CHAINS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	if s := os.Getenv("LRUN_TEST_SEED"); s != "" {
		first, _ = strconv.ParseUint(s, 10, 64)
	}
	tried, skipped := 0, 0
	for i := range uint64(n) {
		seed := first + i
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			layers, skips := mergedView(t, seed)
			tried, skipped = tried+layers+skips, skipped+skips
		})
	}
	// A generator that makes mostly nonsense would test nothing.
	if t.Logf("%d of %d layers skipped", skipped, tried); n >= chains && skipped > tried*2/3 {
		t.Error("too many layers are no use")
	}
}

func mergedView(t *testing.T, seed uint64) (layers, skipped int) {
	g := generator{rand: rand.New(rand.NewPCG(seed, 7))}
	var tars [][]byte
	var said string
	below := tempDir(t)
	for len(tars) < 2+g.rand.IntN(3) {
		entries := g.layer()
		next := append(slices.Clip(tars), lt.Tar(entries...))
		want := tempDir(t)
		if lt.Apply(want, next...) != nil || ambiguous(below, entries) || refused(t, next) {
			skipped++
			continue
		}
		said += fmt.Sprintf("layer %d: %v\n", len(tars), entries)
		tars, below = next, want
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(said)
		}
	})
	sameAsOracle(t, tars...)
	return len(tars), skipped
}

// refused reports that a chain cannot be unpacked. The oracle, which removes before it adds, may be able to.
func refused(t *testing.T, tars [][]byte) bool {
	t.Helper()
	_, err := inOrder(t, tars...)
	if err == nil {
		_, err = outOfOrder(t, tars...)
	}
	if err != nil && !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("refused for no reason of the layer: %v", err)
	}
	return err != nil
}

// ambiguous reports that a layer goes through a link and makes or removes a link, a name above one or the place where
// one leads, too, or that it hides what it links to. The ways then differ in what they do first. (That a removal does not follow what was there before is
// tested by name.)
func ambiguous(below string, entries []lt.Entry) bool {
	links := linksIn(below)
	for i, e := range entries {
		name, removes := touches(e)
		touched := slices.ContainsFunc(links, func(l string) bool {
			return l == name || e.Header.Typeflag != tar.TypeDir && holds(name, l)
		})
		for j, other := range entries {
			if removes && other.Header.Typeflag == tar.TypeLink && holds(name, path.Clean(other.Header.Linkname)) {
				return true // TestHardLinksThenHidden
			}
			through := path.Clean(other.Header.Name)
			matters := j < i || removes || strings.Contains(through, ".wh.")
			for p := path.Dir(through); p != "." && i != j && matters; p = path.Dir(p) {
				if p == name && e.Header.Typeflag == tar.TypeSymlink {
					return true
				}
				if !slices.Contains(links, p) {
					continue
				}
				to, err := lt.Follow(below, p)
				if err != nil || touched || e.Header.Typeflag != tar.TypeDir && (to == below || holds(name, strings.TrimPrefix(to, below+"/"))) {
					return true
				}
			}
		}
	}
	return false
}

func linksIn(dir string) (links []string) {
	filepath.WalkDir(dir, func(p string, d fs.DirEntry, _ error) error {
		if d.Type() == fs.ModeSymlink {
			links = append(links, strings.TrimPrefix(p, dir+"/"))
		}
		return nil
	})
	return links
}

// holds reports that name is dir or in it.
func holds(dir, name string) bool {
	return dir == "." || name == dir || strings.HasPrefix(name, dir+"/")
}

// touches returns the name that an entry makes or removes.
func touches(e lt.Entry) (name string, removes bool) {
	dir, base := path.Split(path.Clean(e.Header.Name))
	if base == ".wh..wh..opq" {
		return path.Clean(dir), true
	}
	base, removes = strings.CutPrefix(base, ".wh.")
	return path.Join(dir, base), removes
}

// generator makes layers out of few names, so that they meet.
type generator struct{ rand *rand.Rand }

func (g *generator) pick(s ...string) string { return s[g.rand.IntN(len(s))] }

func (g *generator) name() string {
	name := g.pick("a", "b", "c", "d")
	for g.rand.IntN(5) < 3 {
		name = path.Join(name, g.pick("a", "b", "c", "d"))
	}
	return name
}

func (g *generator) options() []lt.Option {
	o := []lt.Option{lt.Mode(int64(g.rand.IntN(0o10000))), lt.Owner(g.rand.IntN(3), g.rand.IntN(3))}
	if g.rand.IntN(4) == 0 {
		o = append(o, lt.Xattr("user."+g.pick("x", "y"), g.pick("1", "2")))
	}
	return o
}

func (g *generator) layer() []lt.Entry {
	var entries []lt.Entry
	for range 1 + g.rand.IntN(8) {
		entries = append(entries, g.entry())
	}
	return entries
}

func (g *generator) entry() lt.Entry {
	name := g.name()
	switch k := g.rand.IntN(20); {
	case k < 6:
		return lt.Dir(name, g.options()...)
	case k < 11:
		return lt.File(name, strconv.Itoa(g.rand.IntN(1000)), g.options()...)
	case k < 13:
		return lt.Symlink(name, g.pick("", "/", "../")+g.name())
	case k < 15:
		return lt.Link(name, g.name())
	case k < 18:
		return lt.Whiteout(name)
	case k < 19:
		return lt.Opaque(g.pick("", name, name, name))
	}
	return lt.Fifo(name, lt.Mode(int64(g.rand.IntN(0o1000))))
}
