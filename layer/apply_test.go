package layer_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
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
		if _, err := layer.Apply(context.Background(), openDir(t, dir), bytes.NewReader(tar), layer.ApplyOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// inOrder unpacks a chain in one directory.
func inOrder(t testing.TB, tars ...[]byte) (string, error) {
	dir := t.TempDir()
	must(t, lt.Apply(dir)) // the metadata of an empty root
	return dir, apply(t, dir, tars...)
}

func mount(t testing.TB, layers ...string) string {
	t.Helper()
	target := t.TempDir()
	options := "redirect_dir=off,metacopy=off,index=off,xino=off,lowerdir="
	for i := range layers {
		if i > 0 {
			options += ":"
		}
		options += layers[len(layers)-1-i]
	}
	if len(layers) == 1 {
		options += ":" + t.TempDir() // the kernel wants two; an empty one at the bottom changes nothing
		must(t, os.Chmod(target, 0o755))
	}
	must(t, unix.Mount("overlay", target, "overlay", unix.MS_RDONLY, options))
	t.Cleanup(func() { unix.Unmount(target, unix.MNT_DETACH) })
	return target
}

// outOfOrder unpacks the layers from the top down, each alone, settles them from the bottom up and mounts them.
func outOfOrder(t testing.TB, tars ...[]byte) (string, error) {
	t.Helper()
	dirs := make([]string, len(tars))
	needs := make([]layer.Needs, len(tars))
	for i := range tars {
		i = len(tars) - 1 - i
		dirs[i] = t.TempDir()
		a, err := layer.Apply(context.Background(), openDir(t, dirs[i]), bytes.NewReader(tars[i]), onOverlay)
		if err != nil {
			return "", err
		}
		needs[i] = a.Needs
	}
	for i := range tars {
		var parents *os.File
		if i > 0 {
			parents = openDir(t, mount(t, dirs[:i]...))
		}
		if err := layer.Settle(context.Background(), openDir(t, dirs[i]), needs[i], parents); err != nil {
			return "", err
		}
	}
	return mount(t, dirs...), nil
}

// sameAsOracle unpacks a chain in both ways and compares both with the oracle.
func sameAsOracle(t testing.TB, tars ...[]byte) {
	t.Helper()
	dir := t.TempDir()
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
}

func TestApplyReports(t *testing.T) {
	testutil.RequireRoot(t)
	tar := append(lt.Tar(lt.Dir("d"), lt.File("d/f", "12345"), lt.File("g", "678")), make([]byte, 5000)...)
	a, err := layer.Apply(context.Background(), openDir(t, t.TempDir()), bytes.NewReader(tar), layer.ApplyOptions{})
	must(t, err)
	if a.DiffID != digest.FromBytes(tar) || a.Size != 8 || a.Entries != 3 || !a.Needs.Empty() {
		t.Fatalf("%+v", a)
	}
}

func TestApplyRefuses(t *testing.T) {
	testutil.RequireRoot(t)
	for _, tt := range []struct {
		name  string
		entry []lt.Entry
		says  string
	}{
		{"whiteout of nothing", []lt.Entry{lt.File("a/.wh.", "")}, `"a/.wh."`},
		{"overlay xattr", []lt.Entry{lt.Dir("d", lt.Xattr("trusted.overlay.opaque", "y"))}, "trusted.overlay.opaque"},
		{"whiteout device", []lt.Entry{lt.Char("dev/x", 0, 0)}, `"dev/x"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := apply(t, t.TempDir(), lt.Tar(tt.entry...))
			if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestSmoke(t *testing.T) {
	testutil.RequireRoot(t)
	sameAsOracle(t,
		lt.Tar(lt.Dir("usr"), lt.Dir("usr/lib", lt.Mode(0o711)), lt.Symlink("lib", "usr/lib"), lt.Dir("tmp", lt.Mode(0o1777)), lt.File("usr/lib/a", "a", lt.Mode(0o4755), lt.Owner(5, 6)), lt.File("tmp/x", "x"), lt.Dir("gone"), lt.File("gone/y", "y")),
		lt.Tar(lt.File("lib/b", "b"), lt.File("tmp/z", "z"), lt.Link("lnk", "lib/a"), lt.Whiteout("gone"), lt.Whiteout("tmp/x")),
		lt.Tar(lt.File("gone/again", "z"), lt.Whiteout("lib/b"), lt.Opaque("tmp"), lt.File("tmp/new/q", "q")),
	)
}
