package chain_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer"
	"github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/overlay"
	"github.com/lrun-dev/lrun/rootfs/chain"
	"github.com/lrun-dev/lrun/snapshot"
	"github.com/lrun-dev/lrun/snapshot/btrfs"
	"github.com/lrun-dev/lrun/snapshot/overlayfs"
	"github.com/lrun-dev/lrun/snapshot/vfs"
)

// store is a root with one driver, without images.
type store struct {
	driver    string
	root      string
	snapshots *snapshot.Store
	maker     *chain.Maker
}

var drivers = []string{"overlayfs", "vfs"}

// open opens the store in root; several may be open at once, as several processes have them.
func open(t testing.TB, root, driver string) store {
	t.Helper()
	dir := filepath.Join(root, "snapshots", driver)
	var d snapshot.Driver = vfs.New(filepath.Join(dir, "data"))
	sync := atomicfile.Durable
	switch driver {
	case "overlayfs":
		d = overlayfs.New(filepath.Join(dir, "data"), overlay.Probe(root).Method)
	case "btrfs":
		d, sync = btrfs.New(filepath.Join(dir, "data")), atomicfile.Volatile // a sync of btrfs takes long, and there are hundreds
	}
	snapshots, err := snapshot.OpenWith(dir, d, sync)
	if err != nil {
		t.Fatal(err)
	}
	return store{driver, root, snapshots, chain.New(root, snapshots)}
}

// onEach runs a test that needs root on a new store of each driver.
func onEach(t *testing.T, test func(t *testing.T, s store)) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			testutil.RequireRoot(t)
			testutil.LeakCheck(t)
			test(t, open(t, t.TempDir(), driver))
		})
	}
}

type entry = layertest.Entry

func dir(name string, mode int64) entry { return layertest.Dir(name, layertest.Mode(mode)) }

func file(name, content string) entry { return layertest.File(name, content) }

// rootDir names the root directory itself.
func rootDir(mode int64) entry {
	return layertest.Dir(".", layertest.Mode(mode), layertest.Time(layertest.Mtime.Add(time.Minute)))
}

// source makes an image of layers. Every second blob is compressed.
func source(t testing.TB, layers ...[]byte) chain.Source {
	t.Helper()
	var blobs [][]byte
	im := image.Image{}
	for i, l := range layers {
		blob := l
		if i%2 == 1 {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			if _, err := z.Write(l); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			blob = b.Bytes()
		}
		blobs = append(blobs, blob)
		im.Layers = append(im.Layers, ocispec.Descriptor{Digest: digest.FromBytes(blob), Size: int64(len(blob))})
		im.Config.RootFS.DiffIDs = append(im.Config.RootFS.DiffIDs, digest.FromBytes(l))
	}
	im.ID = digest.FromString(fmt.Sprint(im.Config.RootFS.DiffIDs))
	return chain.Source{Image: im, Open: func(layer int) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(blobs[layer])), nil
	}}
}

// task makes the chains of sources and does nothing else.
func (s store) task(sources ...chain.Source) chain.Task {
	return chain.Task{
		Sources: sources,
		Finish:  func(context.Context) error { return nil },
		Retract: func(ctx context.Context, names []string) error {
			var errs []error
			for _, name := range names {
				errs = append(errs, s.snapshots.Remove(ctx, name))
			}
			return errors.Join(errs...)
		},
	}
}

func (s store) make(t testing.TB, sources ...chain.Source) {
	t.Helper()
	if err := s.maker.Make(t.Context(), s.task(sources...)); err != nil {
		t.Fatal(err)
	}
}

func top(src chain.Source) string {
	chains := src.Image.ChainIDs()
	return chains[len(chains)-1].String()
}

// merged calls do with a directory that shows what a container of src sees.
func (s store) merged(t testing.TB, src chain.Source, do func(dir string)) {
	t.Helper()
	if _, err := s.snapshots.Prepare(t.Context(), "container", top(src)); err != nil {
		t.Fatal(err)
	}
	mounts, err := s.snapshots.Mounts(t.Context(), "container")
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	for _, m := range mounts {
		if err := m.At(target); err != nil {
			t.Fatal(err)
		}
	}
	do(target)
	if err := mount.Unmount(target); err != nil {
		t.Fatal(err)
	}
	if err := s.snapshots.Remove(t.Context(), "container"); err != nil {
		t.Fatal(err)
	}
}

// oracle returns a directory in which the layers of src were applied one after the other, by code that
// is not lrun's.
func oracle(t testing.TB, src chain.Source) string {
	t.Helper()
	var layers [][]byte
	for i := range src.Image.Layers {
		blob, err := src.Open(i)
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := layer.Decompress(blob)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, b)
	}
	dir := t.TempDir()
	if err := layertest.Apply(dir, layers...); err != nil {
		t.Fatal(err)
	}
	return dir
}

// agree compares what a container of src sees with the oracle.
func (s store) agree(t testing.TB, src chain.Source) {
	t.Helper()
	want := layertest.List(t, oracle(t, src))
	s.merged(t, src, func(dir string) {
		if diff := layertest.Diff(layertest.List(t, dir), want); diff != "" {
			t.Errorf("the merged view is not that of the layers applied in order:\n%s", diff)
		}
	})
	s.manifestsFit(t, src)
}

// check makes src and compares it.
func (s store) check(t testing.TB, src chain.Source) {
	t.Helper()
	s.make(t, src)
	s.agree(t, src)
}

// isEmpty fails when the store holds anything at all.
func (s store) isEmpty(t testing.TB) {
	t.Helper()
	for _, pattern := range []string{"unpack/*", "snapshots/*/data/*", "snapshots/*/records/*", "snapshots/*/staging/*"} {
		found, err := filepath.Glob(filepath.Join(s.root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) > 0 {
			t.Errorf("left behind: %q", found)
		}
	}
}

// keys returns all snapshots.
func (s store) infos(t testing.TB) map[string]snapshot.Info {
	t.Helper()
	found := map[string]snapshot.Info{}
	err := s.snapshots.Walk(t.Context(), func(info snapshot.Info) error {
		found[info.Key] = info
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// images are the cases in which a layer that is unpacked alone, without the layers below it, may go
// wrong.
func images() map[string][][]byte {
	base := layertest.Tar(rootDir(0o755), dir("etc", 0o755), file("etc/passwd", "root"), file("etc/shadow", "secret"),
		dir("tmp", 0o1777), dir("usr", 0o755), dir("usr/lib", 0o750), file("usr/lib/libc", "c"), layertest.Symlink("lib", "usr/lib"),
		dir("var", 0o700), dir("var/cache", 0o755), file("var/cache/a", "a"), file("var/cache/b", "b"))
	empty := layertest.Tar()
	change := layertest.Tar(dir("etc", 0o755), file("etc/passwd", "root, changed"))
	back := layertest.Tar(dir("etc", 0o700), file("etc/passwd", "root, and back"))
	return map[string][][]byte{
		"one layer":                   {base},
		"file changed":                {base, change},
		"whiteout":                    {base, layertest.Tar(dir("etc", 0o755), layertest.Whiteout("etc/shadow"))},
		"whiteout, implied parent":    {base, layertest.Tar(layertest.Whiteout("etc/shadow"))},
		"whiteout of a directory":     {base, layertest.Tar(layertest.Whiteout("var"))},
		"whiteout, then again":        {base, layertest.Tar(layertest.Whiteout("etc/shadow")), layertest.Tar(file("etc/shadow", "new"))},
		"whiteout and new, one layer": {base, layertest.Tar(layertest.Whiteout("var"), dir("var", 0o711), file("var/new", "n"))},
		"whiteout of nothing":         {base, layertest.Tar(layertest.Whiteout("etc/nothing"), layertest.Whiteout("none"))},
		"whiteout in the bottom":      {layertest.Tar(dir("d", 0o755), file("d/f", ""), layertest.Whiteout("d/g")), layertest.Tar(file("x", "x"))},
		"opaque":                      {base, layertest.Tar(dir("var", 0o711), layertest.Opaque("var"), file("var/new", "n"))},
		"opaque at the bottom":        {layertest.Tar(dir("d", 0o711), layertest.Opaque("d"), file("d/f", "f")), layertest.Tar(file("d/g", "g")), layertest.Tar(file("d/h", "h"))},
		"opaque, marker last":         {base, layertest.Tar(dir("var/cache", 0o711), file("var/cache/new", "n"), layertest.Opaque("var/cache"))},
		"opaque twice":                {base, layertest.Tar(layertest.Opaque("var")), layertest.Tar(file("var/x", "x")), layertest.Tar(layertest.Opaque("var"), file("var/y", "y"))},
		"opaque root":                 {base, layertest.Tar(file(".wh..wh..opq", ""), file("only", "this"))},
		"implied /tmp keeps its mode": {base, layertest.Tar(file("tmp/x", "x"))},
		"implied over two layers":     {base, layertest.Tar(file("var/cache/c", "c")), layertest.Tar(file("var/cache/d", "d"))},
		"implied nowhere":             {base, layertest.Tar(file("opt/a/b", "b")), layertest.Tar(file("opt/a/c", "c"))},
		"parent is a link below":      {base, layertest.Tar(file("lib/libm", "m"))},
		"link replaced":               {base, layertest.Tar(dir("lib", 0o755), file("lib/libm", "m"))},
		"hard link below":             {base, layertest.Tar(layertest.Link("etc/passwd-", "etc/passwd"))},
		"hard link through a link":    {base, layertest.Tar(layertest.Link("libc", "lib/libc"))},
		"hard link and change":        {base, layertest.Tar(layertest.Link("etc/passwd-", "etc/passwd")), change},
		"file replaces directory":     {base, layertest.Tar(file("var", "a file now"))},
		"directory replaces file":     {base, layertest.Tar(dir("etc/passwd", 0o755), file("etc/passwd/x", "x"))},
		"layer twice":                 {base, change, back, change},
		"layer twice in a row":        {base, change, change},
		"layer twice, with needs":     {base, layertest.Tar(file("tmp/x", "x")), layertest.Tar(dir("tmp", 0o700)), layertest.Tar(file("tmp/x", "x"))},
		"base twice":                  {base, back, base},
		"empty layer":                 {base, empty, change, empty},
		"empty bottom":                {empty, base},
		"root changes":                {base, layertest.Tar(rootDir(0o711)), layertest.Tar(dir("a", 0o755)), layertest.Tar(rootDir(0o700))},
	}
}

// TestMergedView holds the layers that were unpacked alone, in any order, against the slow and
// obvious way: nothing that is removed comes back, no directory loses its mode, no link is hidden.
func TestMergedView(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		for name, layers := range images() {
			t.Run(name, func(t *testing.T) {
				s := open(t, t.TempDir(), s.driver)
				src := source(t, layers...)
				s.make(t, src)
				s.agree(t, src)
			})
		}
	})
}

// TestMergedViewOfAllAtOnce has the same images share their layers in one store.
func TestMergedViewOfAllAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		var sources []chain.Source
		for _, layers := range images() {
			sources = append(sources, source(t, layers...))
		}
		s.make(t, sources[:len(sources)/2]...)
		for _, src := range sources[len(sources)/2:] {
			s.make(t, src)
		}
		for _, src := range sources {
			s.agree(t, src)
		}
	})
}
