package btrfs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/subvolume"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/internal/tree"
	"github.com/lrun-dev/lrun/snapshot"
	"github.com/lrun-dev/lrun/snapshot/btrfs"
	"github.com/lrun-dev/lrun/snapshot/quota"
	"github.com/lrun-dev/lrun/snapshot/snapshottest"
)

func open(t testing.TB, dir string) *snapshot.Store {
	t.Helper()
	s, err := snapshot.Open(dir, btrfs.New(filepath.Join(dir, "data")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // what is read-only resists that of t.TempDir
		if err := tree.Remove(context.Background(), dir); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSuite(t *testing.T) {
	testutil.Btrfs(t)
	snapshottest.Suite(t, open)
}

// active prepares key on parent and returns its tree.
func active(t *testing.T, s *snapshot.Store, key, parent string) string {
	t.Helper()
	if _, err := s.Prepare(t.Context(), key, parent, snapshot.WithVolatile()); err != nil {
		t.Fatal(err)
	}
	path, err := s.Path(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A committed snapshot is read-only for whoever finds it, and shares its blocks with what is on it.
func TestCommitted(t *testing.T) {
	testutil.Btrfs(t)
	s := open(t, t.TempDir())
	big := filepath.Join(active(t, s, "k", ""), "big")
	if err := os.WriteFile(big, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), "base", "k"); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"write":  os.WriteFile(big, nil, 0o600),
		"create": os.WriteFile(big+"2", nil, 0o600),
		"remove": os.Remove(big),
		"chmod":  os.Chmod(filepath.Dir(big), 0o700),
	} {
		if !errors.Is(err, unix.EROFS) {
			t.Errorf("%s: %v, want EROFS", name, err)
		}
	}
	child := active(t, s, "child", "base")
	if err := os.WriteFile(filepath.Join(child, "big"), []byte("x"), 0o600); err != nil {
		t.Errorf("a child of it: %v", err)
	}
	if _, err := s.View(t.Context(), "v", "base"); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Mounts(t.Context(), "v"); err != nil || len(m) != 1 || m[0].Source != filepath.Dir(big) || !m[0].ReadOnly {
		t.Errorf("a view is mounted as %+v, %v: it copies nothing", m, err)
	}
}

// A commit that was cut off after the driver's part leaves an active snapshot, and that can be
// written to.
func TestCommitCutOff(t *testing.T) {
	testutil.Btrfs(t)
	dir := t.TempDir()
	s := open(t, dir)
	path := active(t, s, "k", "")
	info, err := s.Stat(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	d := btrfs.New(filepath.Join(dir, "data"))
	if err := d.Commit(t.Context(), snapshot.Snapshot{ID: info.ID, Kind: snapshot.Committed}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+"/f", nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Fatalf("not frozen: %v", err)
	}
	if _, err := s.Mounts(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+"/f", nil, 0o600); err != nil {
		t.Errorf("still frozen: %v", err)
	}
}

// What a container's root may do: subvolumes in the tree, read-only ones, some in others, some too
// deep for a path. They cannot be committed, and they can be removed.
func TestNestedSubvolumes(t *testing.T) {
	testutil.Btrfs(t)
	dir := t.TempDir()
	s := open(t, dir)
	path := active(t, s, "k", "")
	for _, step := range []error{
		subvolume.Create(path + "/a"),
		os.WriteFile(path+"/a/f", []byte("x"), 0o600),
		subvolume.Create(path + "/a/b"),
		subvolume.Create(path + "/a/b/c"),
		subvolume.Snapshot(path+"/copy", path),
		readOnly(path + "/copy"),
		readOnly(path + "/a/b"),
		deep(path),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	if err := s.Commit(t.Context(), "n", "k"); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("commit: %v", err)
	}
	if _, err := s.Stat(t.Context(), "k"); err != nil {
		t.Errorf("after a commit that was refused: %v", err)
	}
	if err := s.Remove(t.Context(), "k"); err != nil {
		t.Error(err)
	}
	for _, sub := range []string{"data", "staging", "records"} {
		if left, err := os.ReadDir(filepath.Join(dir, sub)); err != nil || len(left) > 0 {
			t.Errorf("%s holds %v, %v", sub, left, err)
		}
	}
}

// readOnly freezes the subvolume path.
func readOnly(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(subvolume.SetReadOnly(f, true), f.Close())
}

// deep makes a subvolume whose path is longer than any that the kernel takes.
func deep(path string) error {
	name := fmt.Sprintf("%0200d", 0)
	at, err := unix.Open(path, unix.O_DIRECTORY, 0)
	for range 100 {
		if err == nil {
			err = unix.Mkdirat(at, name, 0o700)
		}
		next := -1
		if err == nil {
			next, err = unix.Openat(at, name, unix.O_DIRECTORY, 0)
		}
		unix.Close(at)
		at = next
	}
	if err == nil {
		err = subvolume.Create(fmt.Sprintf("/proc/self/fd/%d/sub", at))
	}
	unix.Close(at)
	return err
}

func TestDriverTwice(t *testing.T) {
	testutil.Btrfs(t)
	dir := t.TempDir()
	for _, sub := range []string{"data", "staging"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	d := btrfs.New(dir + "/data")
	s := snapshot.Snapshot{ID: "00000000000000aa", Kind: snapshot.Active}
	if err := d.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := d.Create(t.Context(), s); !errors.Is(err, os.ErrExist) {
		t.Errorf("twice: %v", err)
	}
	orphan := snapshot.Snapshot{ID: "00000000000000bb", Kind: snapshot.Active, Parents: []string{"00000000000000cc"}}
	if err := d.Create(t.Context(), orphan); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without its parent: %v", err)
	}
	for _, id := range []string{s.ID, s.ID, orphan.ID} {
		if err := d.Remove(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
}

func TestLimitIsRefused(t *testing.T) {
	s := open(t, t.TempDir())
	limit := &quota.Limit{Size: quota.MinSize, Way: quota.Image}
	if _, err := s.Prepare(t.Context(), "k", "", snapshot.WithLimit(limit)); !errors.Is(err, errdefs.ErrNotImplemented) {
		t.Error(err)
	}
}

// Where there is no btrfs the kernel's answer is passed on, and nothing is left.
func TestElsewhere(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.Prepare(t.Context(), "k", ""); !errors.Is(err, unix.ENOTTY) && !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("prepare: %v", err)
	}
	if left, err := os.ReadDir(dir + "/data"); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
