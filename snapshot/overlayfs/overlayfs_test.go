package overlayfs_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/overlay"
	"github.com/lrun-dev/lrun/snapshot"
	"github.com/lrun-dev/lrun/snapshot/overlayfs"
	"github.com/lrun-dev/lrun/snapshot/snapshottest"
)

func opener(method mount.Method) snapshottest.Opener {
	return func(t testing.TB, dir string) *snapshot.Store {
		t.Helper()
		s, err := snapshot.Open(dir, overlayfs.New(filepath.Join(dir, "data"), method))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// methods are those that this kernel has, the best first.
func methods(t testing.TB) []mount.Method {
	t.Helper()
	all := []mount.Method{mount.ByDescriptor, mount.ByPath, mount.ByNumber}
	switch {
	case testutil.Kernel(t, 6, 13):
		return all
	case testutil.Kernel(t, 6, 8):
		return all[1:]
	}
	return all[2:]
}

func TestSuite(t *testing.T) {
	for _, method := range methods(t) {
		t.Run(method.String(), func(t *testing.T) { snapshottest.Suite(t, opener(method)) })
	}
}

func TestLimit(t *testing.T) {
	for _, method := range []mount.Method{methods(t)[0], mount.ByNumber} { // the way of names and that of numbers
		t.Run(method.String(), func(t *testing.T) { snapshottest.Limit(t, opener(method)) })
	}
}

// chain commits n layers, each with a file of its own, and returns the name of the topmost.
func chain(t testing.TB, s *snapshot.Store, n int) string {
	t.Helper()
	parent := ""
	for i := range n {
		name := fmt.Sprint("layer", i)
		if _, err := s.Prepare(t.Context(), name+"+", parent, snapshot.WithVolatile()); err != nil {
			t.Fatal(err)
		}
		path, err := s.Path(t.Context(), name+"+")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(t.Context(), name, name+"+", snapshot.WithSynced()); err != nil {
			t.Fatal(err)
		}
		parent = name
	}
	return parent
}

// Trap 9: 500 layers work, in a store whose path is longer than an option may be; one more is
// refused when it is put there, with the reason.
func TestLayerLimit(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	dir := filepath.Join(t.TempDir(), strings.Repeat("a:,\\ ", 50))
	for i, method := range methods(t) {
		s := opener(method)(t, dir)
		if i == 0 {
			chain(t, s, overlay.MaxLowers)
		}
		top, key := fmt.Sprint("layer", overlay.MaxLowers-1), method.String()
		if _, err := s.Prepare(t.Context(), key, top, snapshot.WithVolatile()); err != nil {
			t.Fatal(err)
		}
		m, err := s.Mounts(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		f, err := m[0].Open()
		if err != nil {
			t.Fatal(err)
		}
		if entries, err := os.ReadDir(fmt.Sprintf("/proc/self/fd/%d", f.Fd())); err != nil || len(entries) != overlay.MaxLowers {
			t.Errorf("%s: %d files, %v", method, len(entries), err)
		}
		f.Close()
		refused := map[string]error{
			"WithParent": s.Commit(t.Context(), "one more", lone(t, s), snapshot.WithParent(top)),
			"Adopt":      s.Adopt(t.Context(), "one more", top, alone(t, s)),
		}
		if err := s.Commit(t.Context(), "layer500", key, snapshot.WithSynced()); err != nil {
			t.Fatal(err)
		}
		_, refused["Prepare"] = s.Prepare(t.Context(), "x", "layer500")
		_, refused["View"] = s.View(t.Context(), "x", "layer500")
		for name, err := range refused {
			if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), "the kernel's limit is 500") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := s.Remove(t.Context(), "layer500"); err != nil {
			t.Error(err)
		}
	}
}

// lone returns the key of an active snapshot without parents, alone the name of a committed one.
func lone(t *testing.T, s *snapshot.Store) string {
	t.Helper()
	key := fmt.Sprintf("lone %s", t.TempDir())
	if _, err := s.Prepare(t.Context(), key, "", snapshot.WithVolatile()); err != nil {
		t.Fatal(err)
	}
	return key
}

func alone(t *testing.T, s *snapshot.Store) string {
	t.Helper()
	key := lone(t, s)
	if err := s.Commit(t.Context(), "committed "+key, key, snapshot.WithSynced()); err != nil {
		t.Fatal(err)
	}
	return "committed " + key
}

// Trap 18: a copy of the mount in another mount namespace keeps nobody from removing the snapshot.
func TestRemoveWhileAnotherNamespaceHolds(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	dir, target := t.TempDir(), t.TempDir()
	s := opener(methods(t)[0])(t, dir)
	if _, err := s.Prepare(t.Context(), "c", chain(t, s, 2), snapshot.WithVolatile()); err != nil {
		t.Fatal(err)
	}
	m, err := s.Mounts(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	if err := m[0].At(target); err != nil {
		t.Fatal(err)
	}
	defer mount.Unmount(target)
	holder := exec.Command("unshare", "-m", "sh", "-c", "echo ready; exec sleep 60")
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { holder.Process.Kill(); holder.Wait() }()
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	if err := mount.Unmount(target); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), "c"); err != nil {
		t.Error(err)
	}
	for _, sub := range []string{"data", "staging"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil || sub == "staging" && len(entries) > 0 || sub == "data" && len(entries) != 2 {
			t.Errorf("%s holds %v, %v", sub, entries, err)
		}
	}
	if err := unix.Rmdir(target); err != nil {
		t.Errorf("the mount point: %v", err)
	}
}

// What a driver has to promise, without a store around it.
func TestDriver(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"data", "staging"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	d := overlayfs.New(dir+"/data", methods(t)[0])
	s := snapshot.Snapshot{ID: "00000000000000aa", Kind: snapshot.Active}
	for _, err := range []error{d.Remove(t.Context(), s.ID), d.Create(t.Context(), s)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Create(t.Context(), s); !errors.Is(err, os.ErrExist) {
		t.Errorf("twice: %v", err)
	}
	child := snapshot.Snapshot{ID: "00000000000000bb", Kind: snapshot.Active, Parents: []string{"00000000000000cc"}}
	if err := d.Create(t.Context(), child); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without its parent: %v", err)
	}
	for _, id := range []string{s.ID, child.ID, child.ID} {
		if err := d.Remove(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(dir + "/data"); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// One container's snapshot on an image of eleven layers, with nothing else going on.
func BenchmarkSnapshot(b *testing.B) {
	testutil.RequireRoot(b)
	for name, opts := range map[string][]snapshot.Opt{"volatile": {snapshot.WithVolatile()}, "durable": nil} {
		s := opener(methods(b)[0])(b, b.TempDir())
		top := chain(b, s, 11)
		b.Run(name+" prepare", func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Prepare(b.Context(), "c", top, opts...); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := s.Remove(b.Context(), "c"); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
		b.Run(name+" remove", func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				if _, err := s.Prepare(b.Context(), "c", top, opts...); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if err := s.Remove(b.Context(), "c"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
