package tree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

func TestRemove(t *testing.T) {
	tests := []struct {
		name string
		make []change
	}{
		{"nothing", nil},
		{"a file", []change{file("top", "x", 0o600)}},
		{"a link to a directory", []change{directory("kept-behind-link", 0o755), symlink("kept-behind-link", "top")}},
		{"an empty directory", []change{directory("top", 0o755)}},
		{"a tree", []change{directory("top", 0o755), directory("top/a", 0o755), file("top/a/f", "x", 0o600), symlink("..", "top/a/up"), directory("top/b", 0o755)}},
		{"no permissions", []change{directory("top", 0o755), directory("top/a", 0o755), file("top/a/f", "x", 0), mode("top/a", 0o700)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := scratch(t)
			apply(t, dir, file("kept", "x", 0o600))
			apply(t, dir, tt.make...)
			if err := Remove(t.Context(), filepath.Join(dir, "top")); err != nil {
				t.Fatal(err)
			}
			left, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range left {
				if !strings.HasPrefix(e.Name(), "kept") {
					t.Errorf("left: %s", e.Name())
				}
			}
		})
	}
	t.Run("no parent", func(t *testing.T) {
		if err := Remove(t.Context(), t.TempDir()+"/none/top"); err != nil {
			t.Error(err)
		}
	})
}

func mode(name string, mode os.FileMode) change {
	return func(dir string) error { return os.Chmod(filepath.Join(dir, name), mode) }
}

// A link inside the tree must not lead the deletion out of it.
func TestRemoveFollowsNoLink(t *testing.T) {
	dir := scratch(t)
	apply(t, dir,
		directory("outside", 0o755), file("outside/precious", "x", 0o600),
		directory("top", 0o755), symlink("../outside", "top/dir"), symlink("../outside/precious", "top/file"))
	if err := Remove(t.Context(), dir+"/top"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir + "/outside/precious"); err != nil {
		t.Error(err)
	}
}

func TestRemoveDeep(t *testing.T) {
	dir := memory(t)
	apply(t, dir, directory("top", 0o755), directory("top/.deep-1", 0o755), directory("top/.deep-1/x", 0o755))
	nest(t, dir+"/top", 4000)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 256, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	if err := Remove(t.Context(), dir+"/top"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir + "/top"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestRemoveManyFiles(t *testing.T) {
	dir := scratch(t)
	apply(t, dir, directory("top", 0o755))
	for i := range 3 * batch {
		apply(t, dir, hardOrFile(i))
	}
	if err := Remove(t.Context(), dir+"/top"); err != nil {
		t.Fatal(err)
	}
}

func hardOrFile(i int) change {
	if i == 0 {
		return file("top/0", "", 0o600)
	}
	return hardlink("top/0", fmt.Sprint("top/", i))
}

func TestRemoveCancelled(t *testing.T) {
	dir := scratch(t)
	apply(t, dir, directory("top", 0o755), directory("top/a", 0o755), file("top/a/f", "x", 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Remove(ctx, dir+"/top"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(dir + "/top/a/f"); err != nil {
		t.Error(err)
	}
}

// Trap 18: what is mounted, even below what is deleted, is another's.
func TestRemoveStopsAtMounts(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	for _, kind := range []string{"directory", "full directory", "file"} {
		t.Run(kind, func(t *testing.T) {
			dir := scratch(t)
			apply(t, dir,
				directory("other", 0o755), file("other/precious", "x", 0o600), directory("other/empty", 0o755),
				directory("top", 0o755), directory("top/a", 0o755), directory("top/a/m", 0o755), file("top/a/f", "x", 0o600), file("top/gone", "x", 0o600))
			source, target := dir+"/other/empty", dir+"/top/a/m"
			switch kind {
			case "full directory":
				source = dir + "/other"
			case "file":
				source, target = dir+"/other/precious", dir+"/top/a/f"
			}
			if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
				t.Fatal(err)
			}
			defer unix.Unmount(target, unix.MNT_DETACH)
			err := Remove(t.Context(), dir+"/top")
			if !errors.Is(err, errdefs.ErrFailedPrecondition) || !strings.Contains(err.Error(), strings.TrimPrefix(target, dir)) {
				t.Errorf("got %v", err)
			}
			if b, err := os.ReadFile(dir + "/other/precious"); string(b) != "x" {
				t.Errorf("the mounted file holds %q, %v", b, err)
			}
			if _, err := os.Lstat(dir + "/top/gone"); err == nil {
				t.Error("the mount stopped the rest")
			}
			if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
				t.Fatal(err)
			}
			if err := Remove(t.Context(), dir+"/top"); err != nil {
				t.Errorf("after the unmount: %v", err)
			}
		})
	}
}

func TestRemoveImmutable(t *testing.T) {
	testutil.RequireRoot(t)
	for _, flag := range []int{0x10, 0x20} {
		t.Run(fmt.Sprintf("%#x", flag), func(t *testing.T) {
			dir := scratch(t)
			apply(t, dir,
				directory("top", 0o755), directory("top/a", 0o755), directory("top/a/empty", 0o755), file("top/a/f", "x", 0o600),
				symlink("x", "top/a/l"), node("top/a/null", unix.S_IFCHR|0o600, unix.Mkdev(1, 3)))
			for _, name := range []string{"a/f", "a/empty", "a"} {
				setFlags(t, dir+"/top/"+name, flag)
			}
			if err := Remove(t.Context(), dir+"/top"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func setFlags(t *testing.T, path string, flags int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	have, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS) // some can only stay, such as that of extents
	if err == nil {
		err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, have|flags)
	}
	if err != nil {
		testutil.Missing(t, fmt.Sprintf("flags of files on %s: %v", path, err))
	}
}

// One file that resists does not save the others, and many do not fill the screen.
func TestRemoveGoesOn(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	dir := scratch(t)
	apply(t, dir, file("source", "x", 0o600), directory("top", 0o755), directory("top/a", 0o755))
	for i := range maxErrors + 3 {
		apply(t, dir, file(fmt.Sprintf("top/a/m%d", i), "", 0o600), file(fmt.Sprintf("top/a/gone%d", i), "", 0o600))
		target := fmt.Sprintf("%s/top/a/m%d", dir, i)
		if err := unix.Mount(dir+"/source", target, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		defer unix.Unmount(target, unix.MNT_DETACH)
	}
	err := Remove(t.Context(), dir+"/top")
	if err == nil || !strings.Contains(err.Error(), "3 more errors") {
		t.Errorf("got %v", err)
	}
	left, err := os.ReadDir(dir + "/top/a")
	if err != nil || len(left) != maxErrors+3 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func BenchmarkRemoveSmall(b *testing.B) {
	dir := scratch(b)
	for b.Loop() {
		b.StopTimer()
		apply(b, dir, directory("top", 0o755), directory("top/fs", 0o755), directory("top/work", 0o755), directory("top/work/work", 0o755))
		b.StartTimer()
		if err := Remove(b.Context(), dir+"/top"); err != nil {
			b.Fatal(err)
		}
	}
}
