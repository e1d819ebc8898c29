// Package conformance runs containerd's own suite for snapshotters on the drivers. It is a module of
// its own, so that nobody who builds lrun needs containerd.
package conformance

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/core/snapshots/testsuite"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/snapshot"
	"github.com/lrun-dev/lrun/snapshot/btrfs"
	"github.com/lrun-dev/lrun/snapshot/overlayfs"
	"github.com/lrun-dev/lrun/snapshot/vfs"
)

// run runs the suite, which makes a store for each of its tests.
func run(t *testing.T, name string, driver func(dataDir string) snapshot.Driver) {
	t.Helper()
	testsuite.SnapshotterSuite(t, name, func(_ context.Context, root string) (snapshots.Snapshotter, func() error, error) {
		dir := filepath.Join(root, "store")
		store, err := snapshot.Open(dir, driver(filepath.Join(dir, "data")))
		return &snapshotter{store}, func() error { return removeAll(store) }, err
	})
}

func TestOverlayfs(t *testing.T) {
	testutil.RequireRoot(t)
	run(t, "overlayfs", func(dir string) snapshot.Driver { return overlayfs.New(dir, mount.ByNumber) })
}

func TestVfs(t *testing.T) {
	testutil.RequireRoot(t)
	run(t, "vfs", func(dir string) snapshot.Driver { return vfs.New(dir) })
}

func TestBtrfs(t *testing.T) {
	testutil.Btrfs(t)
	run(t, "btrfs", func(dir string) snapshot.Driver { return btrfs.New(dir) })
}

// removeAll removes every snapshot: each time round those that have no children.
func removeAll(s *snapshot.Store) error {
	for {
		removed, left := 0, 0
		err := s.Walk(context.Background(), func(i snapshot.Info) error {
			if s.Remove(context.Background(), i.Key) == nil {
				removed++
			} else {
				left++
			}
			return nil
		})
		if err != nil || removed == 0 || left == 0 {
			return err
		}
	}
}
