package chain_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/overlay"
	"github.com/lrun-dev/lrun/rootfs/chain"
	"github.com/lrun-dev/lrun/snapshot"
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
	if driver == "overlayfs" {
		d = overlayfs.New(filepath.Join(dir, "data"), overlay.Probe(root).Method)
	}
	snapshots, err := snapshot.Open(dir, d)
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

// entry is one entry of a layer.
type entry struct {
	tar.Header
	content string
}

var epoch = time.Unix(1_500_000_000, 0)

func dir(name string, mode int64) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode, ModTime: epoch}}
}

func file(name, content string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, ModTime: epoch.Add(time.Hour)}, content}
}

func symlink(name, target string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777, ModTime: epoch}}
}

func hardlink(name, target string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target, ModTime: epoch}}
}

// whiteout removes name, opaque what is below in dir.
func whiteout(name string) entry {
	d, base := filepath.Split(name)
	return file(d+".wh."+base, "")
}
func opaque(name string) entry { return file(name+"/.wh..wh..opq", "") }

// root names the root directory itself.
func rootDir(mode int64) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: mode, ModTime: epoch.Add(time.Minute)}}
}

// pack makes a layer.
func pack(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		e.Size = int64(len(e.content))
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
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

// oracle applies the layers of src the slow and obvious way: one after the other in one directory.
func oracle(t testing.TB, src chain.Source) string {
	t.Helper()
	path := t.TempDir()
	d, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := errors.Join(d.Chmod(0o755), os.Chtimes(path, time.Unix(0, 0), time.Unix(0, 0))); err != nil {
		t.Fatal(err)
	}
	for i := range src.Image.Layers {
		blob, err := src.Open(i)
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := layer.Decompress(blob)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := layer.Apply(t.Context(), d, r, layer.ApplyOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// listing describes a tree for people.
func listing(t testing.TB, dir string) string {
	t.Helper()
	out, err := exec.Command("find", dir, "-printf", "%P %y %m %U:%G %T@ %n %s %l\n").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(out), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// agree compares what a container of src sees with the oracle.
func (s store) agree(t testing.TB, src chain.Source) {
	t.Helper()
	want := oracle(t, src)
	s.merged(t, src, func(got string) {
		if testutil.TreeHash(t, got) != testutil.TreeHash(t, want) {
			t.Errorf("the merged view is\n%s\nand the layers applied in order are\n%s", listing(t, got), listing(t, want))
		}
	})
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
func images(t testing.TB) map[string][][]byte {
	base := pack(t, rootDir(0o755), dir("etc", 0o755), file("etc/passwd", "root"), file("etc/shadow", "secret"),
		dir("tmp", 0o1777), dir("usr", 0o755), dir("usr/lib", 0o750), file("usr/lib/libc", "c"), symlink("lib", "usr/lib"),
		dir("var", 0o700), dir("var/cache", 0o755), file("var/cache/a", "a"), file("var/cache/b", "b"))
	empty := pack(t)
	change := pack(t, dir("etc", 0o755), file("etc/passwd", "root, changed"))
	back := pack(t, dir("etc", 0o700), file("etc/passwd", "root, and back"))
	return map[string][][]byte{
		"one layer":                   {base},
		"file changed":                {base, change},
		"whiteout":                    {base, pack(t, dir("etc", 0o755), whiteout("etc/shadow"))},
		"whiteout, implied parent":    {base, pack(t, whiteout("etc/shadow"))},
		"whiteout of a directory":     {base, pack(t, whiteout("var"))},
		"whiteout, then again":        {base, pack(t, whiteout("etc/shadow")), pack(t, file("etc/shadow", "new"))},
		"whiteout and new, one layer": {base, pack(t, whiteout("var"), dir("var", 0o711), file("var/new", "n"))},
		"whiteout of nothing":         {base, pack(t, whiteout("etc/nothing"), whiteout("none"))},
		"whiteout in the bottom":      {pack(t, dir("d", 0o755), file("d/f", ""), whiteout("d/g")), pack(t, file("x", "x"))},
		"opaque":                      {base, pack(t, dir("var", 0o711), opaque("var"), file("var/new", "n"))},
		"opaque at the bottom":        {pack(t, dir("d", 0o711), opaque("d"), file("d/f", "f")), pack(t, file("d/g", "g")), pack(t, file("d/h", "h"))},
		"opaque, marker last":         {base, pack(t, dir("var/cache", 0o711), file("var/cache/new", "n"), opaque("var/cache"))},
		"opaque twice":                {base, pack(t, opaque("var")), pack(t, file("var/x", "x")), pack(t, opaque("var"), file("var/y", "y"))},
		"opaque root":                 {base, pack(t, file(".wh..wh..opq", ""), file("only", "this"))},
		"implied /tmp keeps its mode": {base, pack(t, file("tmp/x", "x"))},
		"implied over two layers":     {base, pack(t, file("var/cache/c", "c")), pack(t, file("var/cache/d", "d"))},
		"implied nowhere":             {base, pack(t, file("opt/a/b", "b")), pack(t, file("opt/a/c", "c"))},
		"parent is a link below":      {base, pack(t, file("lib/libm", "m"))},
		"link replaced":               {base, pack(t, dir("lib", 0o755), file("lib/libm", "m"))},
		"hard link below":             {base, pack(t, hardlink("etc/passwd-", "etc/passwd"))},
		"hard link through a link":    {base, pack(t, hardlink("libc", "lib/libc"))},
		"hard link and change":        {base, pack(t, hardlink("etc/passwd-", "etc/passwd")), change},
		"file replaces directory":     {base, pack(t, file("var", "a file now"))},
		"directory replaces file":     {base, pack(t, dir("etc/passwd", 0o755), file("etc/passwd/x", "x"))},
		"layer twice":                 {base, change, back, change},
		"layer twice in a row":        {base, change, change},
		"layer twice, with needs":     {base, pack(t, file("tmp/x", "x")), pack(t, dir("tmp", 0o700)), pack(t, file("tmp/x", "x"))},
		"base twice":                  {base, back, base},
		"empty layer":                 {base, empty, change, empty},
		"empty bottom":                {empty, base},
		"root changes":                {base, pack(t, rootDir(0o711)), pack(t, dir("a", 0o755)), pack(t, rootDir(0o700))},
	}
}

// TestMergedView holds the layers that were unpacked alone, in any order, against the slow and
// obvious way: nothing that is removed comes back, no directory loses its mode, no link is hidden.
func TestMergedView(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		for name, layers := range images(t) {
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
		for _, layers := range images(t) {
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
