package layer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer"
	lt "github.com/lrun-dev/lrun/layer/layertest"
)

// overlayWhiteouts writes whiteouts as the kernel's overlayfs wants them.
type overlayWhiteouts struct{}

func (overlayWhiteouts) Whiteout(dir *os.File, name string) error {
	return unix.Mknodat(int(dir.Fd()), name, unix.S_IFCHR, 0)
}

func (overlayWhiteouts) Opaque(dir *os.File) error {
	return unix.Fsetxattr(int(dir.Fd()), "trusted.overlay.opaque", []byte("y"), 0)
}

var onOverlay = layer.ApplyOptions{Whiteouts: overlayWhiteouts{}}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tempDir is t.TempDir without the test's name, whose commas and colons overlay's options would take for their own.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "layer")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func openDir(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// apply unpacks tars in place, one after the other.
func apply(t testing.TB, dir string, tars ...[]byte) error {
	t.Helper()
	for _, tar := range tars {
		if _, err := applyWith(t, dir, tar, layer.ApplyOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// inOrder unpacks a chain in one directory.
func inOrder(t testing.TB, tars ...[]byte) (string, error) {
	dir := tempDir(t)
	must(t, lt.Apply(dir)) // the metadata of an empty root
	return dir, apply(t, dir, tars...)
}

func mount(t testing.TB, layers ...string) string {
	t.Helper()
	target := tempDir(t)
	options := "redirect_dir=off,metacopy=off,index=off,xino=off,lowerdir="
	for i := range layers {
		if i > 0 {
			options += ":"
		}
		options += layers[len(layers)-1-i]
	}
	if len(layers) == 1 {
		options += ":" + tempDir(t) // the kernel wants two; an empty one at the bottom changes nothing
	}
	must(t, unix.Mount("overlay", target, "overlay", unix.MS_RDONLY, options))
	t.Cleanup(func() { unix.Unmount(target, unix.MNT_DETACH) })
	return target
}

func applyWith(t testing.TB, dir string, tar []byte, o layer.ApplyOptions) (layer.Applied, error) {
	t.Helper()
	return layer.Apply(context.Background(), openDir(t, dir), bytes.NewReader(tar), o)
}

// header is of a type that the builders of layertest do not make.
func header(typeflag byte, name string) tar.Header {
	return tar.Header{Typeflag: typeflag, Name: name, Format: tar.FormatUSTAR}
}

// applyAlone unpacks a layer in a directory of its own, with overlay's whiteouts.
func applyAlone(t testing.TB, dir string, tar []byte) layer.Needs {
	t.Helper()
	a, err := applyWith(t, dir, tar, onOverlay)
	must(t, err)
	return a.Needs
}

// settle joins the layer in dir to the merged view of its parents, "" for none.
func settle(t testing.TB, dir string, needs layer.Needs, parents string) error {
	t.Helper()
	var view *os.File
	if parents != "" {
		view = openDir(t, parents)
	}
	return layer.Settle(context.Background(), openDir(t, dir), needs, view)
}

// outOfOrder unpacks the layers from the top down, each alone, settles them from the bottom up and mounts them.
func outOfOrder(t testing.TB, tars ...[]byte) (string, error) {
	t.Helper()
	dirs := make([]string, len(tars))
	needs := make([]layer.Needs, len(tars))
	for i, tar := range slices.Backward(tars) {
		dirs[i] = tempDir(t)
		a, err := applyWith(t, dirs[i], tar, onOverlay)
		if err != nil {
			return "", err
		}
		needs[i] = a.Needs
	}
	for i := range tars {
		parents := ""
		if i > 0 {
			parents = mount(t, dirs[:i]...)
		}
		if err := settle(t, dirs[i], needs[i], parents); err != nil {
			return "", err
		}
	}
	return mount(t, dirs...), nil
}

// sameAsOracle unpacks a chain in both ways and compares both with the oracle.
func sameAsOracle(t testing.TB, tars ...[]byte) {
	t.Helper()
	dir := tempDir(t)
	must(t, lt.Apply(dir, tars...))
	want := lt.List(t, dir)
	got, err := inOrder(t, tars...)
	must(t, err)
	if diff := lt.Diff(lt.List(t, got), want); diff != "" {
		t.Errorf("in order:\n%s", diff)
	}
	got, err = outOfOrder(t, tars...)
	must(t, err)
	if diff := lt.Diff(lt.List(t, got), want); diff != "" {
		t.Errorf("out of order:\n%s", diff)
	}
	manifestsFit(t, tars...)
}

func TestApplyReports(t *testing.T) {
	testutil.RequireRoot(t)
	tar := append(lt.Tar(lt.Dir("d"), lt.File("d/f", "12345"), lt.File("g", "678")), make([]byte, 5000)...)
	a, err := layer.Apply(context.Background(), openDir(t, tempDir(t)), bytes.NewReader(tar), layer.ApplyOptions{})
	must(t, err)
	if a.DiffID != digest.FromBytes(tar) || a.Size != 8 || a.Entries != 3 || !a.Needs.Empty() {
		t.Fatalf("%+v", a)
	}
}

// TestChain is a chain as images have it: usrmerge, a sticky /tmp, a hard link to a lower file, removals.
func TestChain(t *testing.T) {
	testutil.RequireRoot(t)
	sameAsOracle(t,
		lt.Tar(lt.Dir("usr"), lt.Dir("usr/lib", lt.Mode(0o711)), lt.Symlink("lib", "usr/lib"), lt.Dir("tmp", lt.Mode(0o1777)), lt.File("usr/lib/a", "a", lt.Mode(0o4755), lt.Owner(5, 6)), lt.File("tmp/x", "x"), lt.Dir("gone"), lt.File("gone/y", "y")),
		lt.Tar(lt.File("lib/b", "b"), lt.File("tmp/z", "z"), lt.Link("lnk", "lib/a"), lt.Whiteout("gone"), lt.Whiteout("tmp/x")),
		lt.Tar(lt.File("gone/again", "z"), lt.Whiteout("lib/b"), lt.Opaque("tmp"), lt.File("tmp/new/q", "q")),
	)
}
