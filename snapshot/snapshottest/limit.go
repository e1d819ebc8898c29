package snapshottest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/snapshot"
	"github.com/lrun-dev/lrun/snapshot/quota"
)

// Limit checks that the driver of the store that open opens keeps limits: see snapshot.WithLimit.
func Limit(t *testing.T, open Opener) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	for name, opts := range map[string][]snapshot.Opt{"durable": nil, "volatile": {snapshot.WithVolatile()}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			makeParent(t, s)
			prepareLimited(t, s, dir, opts)
			fillLimited(t, s)
			checkLimited(t, s)
			if err := s.Commit(t.Context(), "committed", "limited"); !errdefs.IsFailedPrecondition(err) {
				t.Errorf("commit: %v", err)
			}
			if err := s.Remove(t.Context(), "limited"); err != nil {
				t.Fatal(err)
			}
			if left, err := os.ReadDir(filepath.Join(dir, "data")); err != nil || len(left) != 1 {
				t.Errorf("beside the parent: %v, %v", left, err)
			}
		})
	}
}

// prepareLimited makes the snapshot limited.
func prepareLimited(t *testing.T, s *snapshot.Store, dir string, opts []snapshot.Opt) {
	t.Helper()
	limit, err := quota.Choose(dir, quota.MinSize, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Prepare(t.Context(), "limited", "parent", append(opts, snapshot.WithLimit(limit))...); err != nil {
		t.Fatal(err)
	}
	if info, err := s.Stat(t.Context(), "limited"); err != nil || info.Limit == nil || *info.Limit != *limit {
		t.Fatalf("%+v, %v", info.Limit, err)
	}
}

// checkLimited sees what fillLimited has written.
func checkLimited(t *testing.T, s *snapshot.Store) {
	t.Helper()
	if u, err := s.Usage(t.Context(), "limited"); err != nil || u.Size < quota.MinSize/3 || u.Inodes < 2 {
		t.Errorf("usage %+v, %v", u, err)
	}
	again := mountOf(t, s, "limited")
	if fi, err := os.Stat(filepath.Join(again, "big")); err != nil || fi.Size() < quota.MinSize/3 {
		t.Errorf("mounted again: %v", err)
	}
	if err := mount.Unmount(again); err != nil {
		t.Fatal(err)
	}
}

// makeParent commits a snapshot with one file.
func makeParent(t *testing.T, s *snapshot.Store) {
	t.Helper()
	if _, err := s.Prepare(t.Context(), "filling", ""); err != nil {
		t.Fatal(err)
	}
	path, err := s.Path(t.Context(), "filling")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "below"), []byte("below"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), "parent", "filling"); err != nil {
		t.Fatal(err)
	}
}

// fillLimited writes to the mounted snapshot until there is no room.
func fillLimited(t *testing.T, s *snapshot.Store) {
	t.Helper()
	root := mountOf(t, s, "limited")
	if b, err := os.ReadFile(filepath.Join(root, "below")); err != nil || string(b) != "below" {
		t.Errorf("below: %q, %v", b, err)
	}
	if err := os.WriteFile(filepath.Join(root, "big"), make([]byte, 2*quota.MinSize), 0o600); !quota.Reached(err) {
		t.Errorf("too much: %v", err)
	}
	// Overlayfs needs some for the next mount, as long as anybody's mount namespace, made meanwhile, has this one.
	if fi, err := os.Stat(filepath.Join(root, "big")); err != nil || os.Truncate(filepath.Join(root, "big"), fi.Size()-1<<20) != nil {
		t.Errorf("give back a megabyte: %v", err)
	}
	if err := mount.Unmount(root); err != nil {
		t.Fatal(err)
	}
}

// mountOf mounts the snapshot key, for the test at most.
func mountOf(t *testing.T, s *snapshot.Store, key string) string {
	t.Helper()
	mounts, err := s.Mounts(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	t.Cleanup(func() {
		if err := mount.Unmount(target); err != nil {
			t.Error(err)
		}
	})
	for _, m := range mounts {
		if err := m.At(target); err != nil {
			t.Fatal(err)
		}
	}
	return target
}
