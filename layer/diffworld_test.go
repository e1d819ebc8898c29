package layer_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/internal/tree"
	"github.com/lrun-dev/lrun/layer"
	lt "github.com/lrun-dev/lrun/layer/layertest"
)

// changed is a tree that was made from a parent and then changed, in the way of one driver.
type changed struct {
	root   string // the tree as a container sees it
	source layer.DiffSource
	chain  []string // for overlayfs: the layers below, bottom first
	below  string   // the parent's tree
}

// onOverlayfs makes parents by changing one layer after the other, and a mounted overlay on top that change was done to.
func onOverlayfs(t testing.TB, parents []func(root string), change func(root string)) changed {
	t.Helper()
	var c changed
	for _, p := range parents {
		upper := newUpper(t, c.chain)
		unmount := func() {}
		root := upper
		if len(c.chain) > 0 {
			root, unmount = mountWritable(t, upper, c.chain)
		}
		p(root)
		unmount()
		c.chain = append(c.chain, upper)
	}
	c.below = mount(t, c.chain...)
	upper := newUpper(t, c.chain)
	c.root, _ = mountWritable(t, upper, c.chain)
	change(c.root)
	c.source = layer.DiffSource{Dir: openDir(t, upper), Parent: openDir(t, c.below), Overlay: true}
	return c
}

// onCopies makes the same of whole copies of parent.
func onCopies(t testing.TB, parent string, change func(root string)) changed {
	t.Helper()
	c := changed{root: filepath.Join(tempDir(t), "tree"), below: copyOf(t, parent)}
	must(t, tree.Copy(t.Context(), c.root, c.below))
	change(c.root)
	c.source = layer.DiffSource{Dir: openDir(t, c.root), Parent: openDir(t, c.below)}
	return c
}

func newUpper(t testing.TB, chain []string) string {
	upper := filepath.Join(tempDir(t), "upper")
	must(t, os.MkdirAll(upper, 0o755))
	if len(chain) > 0 {
		must(t, tree.CopyRoot(upper, chain[len(chain)-1]))
	}
	return upper
}

// mountWritable mounts as lrun does.
func mountWritable(t testing.TB, upper string, chain []string) (root string, unmount func()) {
	t.Helper()
	root = tempDir(t)
	work := filepath.Join(filepath.Dir(upper), "work")
	must(t, os.Mkdir(work, 0o700))
	options := "volatile,redirect_dir=off,metacopy=off,index=off,xino=off,upperdir=" + upper + ",workdir=" + work + ",lowerdir="
	for i := range chain {
		if i > 0 {
			options += ":"
		}
		options += chain[len(chain)-1-i]
	}
	must(t, unix.Mount("overlay", root, "overlay", 0, options))
	unmount = func() { unix.Unmount(root, unix.MNT_DETACH) }
	t.Cleanup(unmount)
	return root, unmount
}

// copyOf copies a tree, of however many layers it is.
func copyOf(t testing.TB, root string) string {
	t.Helper()
	dir := tempDir(t)
	must(t, apply(t, dir, writeTar(t, root, layer.TarOptions{})))
	must(t, tree.CopyRoot(dir, root))
	return dir
}

func diffOf(t testing.TB, s layer.DiffSource, o layer.DiffOptions) []byte {
	t.Helper()
	var buf bytes.Buffer
	must(t, layer.Diff(context.Background(), &buf, s, o))
	return buf.Bytes()
}

func changesOf(t testing.TB, s layer.DiffSource, o layer.DiffOptions) []string {
	t.Helper()
	list, err := layer.Changes(context.Background(), s, o)
	must(t, err)
	lines := []string{}
	for _, c := range list {
		lines = append(lines, string(c.Kind)+" /"+c.Path)
	}
	return lines
}

// roundTrip has the diff applied to the parent in both ways and compares with the changed tree.
func (c changed) roundTrip(t testing.TB) []byte {
	t.Helper()
	tar := diffOf(t, c.source, layer.DiffOptions{})
	if again := diffOf(t, c.source, layer.DiffOptions{}); !bytes.Equal(tar, again) {
		t.Errorf("the same changes give another tar")
	}
	dir := copyOf(t, c.below)
	must(t, apply(t, dir, tar))
	c.sameAs(t, "in place", dir)
	if c.chain == nil {
		return tar
	}
	alone := tempDir(t)
	needs := applyAlone(t, alone, tar)
	must(t, settle(t, alone, needs, c.below))
	c.sameAs(t, "as a layer", mount(t, append(slices.Clip(c.chain), alone)...))
	return tar
}

func (c changed) sameAs(t testing.TB, how, dir string) {
	t.Helper()
	if diff := lt.Diff(lt.List(t, dir), lt.List(t, c.root)); diff != "" {
		t.Errorf("%s:\n%s", how, diff)
		return
	}
	if testutil.TreeHash(t, dir) != testutil.TreeHash(t, c.root) {
		t.Errorf("%s: other names are one file", how)
	}
}
