package vfs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lrun-dev/lrun/internal/subvolume"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/snapshot"
	"github.com/lrun-dev/lrun/snapshot/quota"
	"github.com/lrun-dev/lrun/snapshot/snapshottest"
	"github.com/lrun-dev/lrun/snapshot/vfs"
)

func open(t testing.TB, dir string) *snapshot.Store {
	t.Helper()
	s, err := snapshot.Open(dir, vfs.New(filepath.Join(dir, "data")))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSuite(t *testing.T) { snapshottest.Suite(t, open) }

func TestLimit(t *testing.T) { snapshottest.Limit(t, open) }

func TestSuiteOnBtrfs(t *testing.T) {
	testutil.Btrfs(t)
	snapshottest.Suite(t, open)
}

// On btrfs a copy is a snapshot of a subvolume, unless the tree has subvolumes in it, which a
// snapshot would lose, or the copy lies elsewhere.
func TestCopiesOnBtrfs(t *testing.T) {
	testutil.Btrfs(t)
	s := open(t, t.TempDir())
	prepare := func(key, parent string) (path string, shared bool) {
		t.Helper()
		_, err := s.Prepare(t.Context(), key, parent)
		if err != nil {
			t.Fatal(err)
		}
		if path, err = s.Path(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return path, subvolume.Is(f)
	}
	path, shared := prepare("k", "")
	if !shared {
		t.Error("a tree is no subvolume")
	}
	if err := os.WriteFile(filepath.Join(path, "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), "base", "k"); err != nil {
		t.Fatal(err)
	}
	limit := &quota.Limit{Size: quota.MinSize, Way: quota.Image}
	if _, err := s.Prepare(t.Context(), "limited", "base", snapshot.WithLimit(limit)); err != nil {
		t.Errorf("in an image of its own: %v", err)
	}
	path, shared = prepare("k", "base")
	if !shared {
		t.Error("a copy is no snapshot")
	}
	if err := subvolume.Create(filepath.Join(path, "inner")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "inner", "file"), []byte("y"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), "nested", "k"); err != nil {
		t.Fatal(err)
	}
	path, shared = prepare("k", "nested")
	if b, err := os.ReadFile(filepath.Join(path, "inner", "file")); shared || err != nil || string(b) != "y" {
		t.Errorf("with a subvolume in it: shared %v, %q, %v", shared, b, err)
	}
}

// What does not fit is refused with what would.
func TestLimitBelowTheCopy(t *testing.T) {
	testutil.RequireRoot(t)
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.Prepare(t.Context(), "filling", ""); err != nil {
		t.Fatal(err)
	}
	path, err := s.Path(t.Context(), "filling")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "big"), make([]byte, quota.MinSize), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), "large", "filling"); err != nil {
		t.Fatal(err)
	}
	limit := &quota.Limit{Size: quota.MinSize, Way: quota.Image}
	_, err = s.Prepare(t.Context(), "k", "large", snapshot.WithLimit(limit))
	if !quota.Reached(err) || !strings.Contains(err.Error(), "which takes 16781312 bytes") || !strings.Contains(err.Error(), "is 16777216 bytes") {
		t.Error(err)
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "data")); err != nil || len(entries) != 1 {
		t.Errorf("left %v, %v", entries, err)
	}
	limit.Size *= 2
	if _, err := s.Prepare(t.Context(), "k", "large", snapshot.WithLimit(limit)); err != nil {
		t.Error(err)
	}
}

// It needs no privilege: a copy is a copy.
func TestCopies(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	parent := ""
	for i := range 3 {
		key, name := fmt.Sprint("k", i), fmt.Sprint("n", i)
		if _, err := s.Prepare(t.Context(), key, parent); err != nil {
			t.Fatal(err)
		}
		path, err := s.Path(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		if entries, err := os.ReadDir(path); err != nil || len(entries) != i+1 {
			t.Errorf("%s holds %v, %v", key, entries, err)
		}
		if err := s.Commit(t.Context(), name, key); err != nil {
			t.Fatal(err)
		}
		parent = name
	}
	u, err := s.Usage(t.Context(), "n2")
	if err != nil || u.Inodes != 4 {
		t.Errorf("usage %+v, %v: a copy counts whole", u, err)
	}
	if _, err := s.View(t.Context(), "v", "n2"); err != nil {
		t.Fatal(err)
	}
	m, err := s.Mounts(t.Context(), "v")
	if err != nil {
		t.Fatal(err)
	}
	below, err := s.Path(t.Context(), "n2")
	if err != nil {
		t.Fatal(err)
	}
	if len(m) != 1 || m[0].Source != below || !m[0].ReadOnly {
		t.Errorf("a view is mounted as %+v: it copies nothing", m)
	}
}

// A copy that is interrupted, or whose parent is damaged, leaves nothing.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.Prepare(t.Context(), "k", ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), "base", "k"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Prepare(ctx, "k", "base"); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	path, err := s.Path(t.Context(), "base")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+"x"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Prepare(t.Context(), "k", "base"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("damaged: %v", err)
	}
	for sub, want := range map[string]int{"data": 1, "records": 1, "staging": 0} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil || len(entries) != want {
			t.Errorf("%s holds %v, %v", sub, entries, err)
		}
	}
}

func TestDriverTwice(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"data", "staging"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	d := vfs.New(dir + "/data")
	s := snapshot.Snapshot{ID: "00000000000000aa", Kind: snapshot.Active}
	if err := d.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := d.Create(t.Context(), s); !errors.Is(err, os.ErrExist) {
		t.Errorf("twice: %v", err)
	}
	for range 2 {
		if err := d.Remove(t.Context(), s.ID); err != nil {
			t.Error(err)
		}
	}
}
