package integration

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/snapshot"
	"github.com/lrun-dev/lrun/snapshot/overlayfs"
)

// TestPowerLossInCommit takes the power away when a layer has just been committed, and another process has made another file
// durable: what a file system shows then of a directory that nobody has synced differs. On btrfs the layer has its new name, and
// the record that was replaced its old one, so that two snapshots have the same bytes. Whatever there is must not be damaged when
// the next commands have taken away what is left over; and what was durable when it was committed is never there twice.
func TestPowerLossInCommit(t *testing.T) {
	testutil.RequireRoot(t)
	const key, name = "unpack-dead-1", "sha256:layer"
	for _, filesystem := range []string{"ext4", "xfs", "btrfs"} {
		for way, opts := range map[string][]snapshot.Opt{"volatile": {snapshot.WithVolatile()}, "durable": nil} {
			t.Run(filesystem+", "+way, func(t *testing.T) {
				dir, err := os.MkdirTemp(filepath.Join(os.Getenv(workEnv), "w"), "power-")
				check(t, err)
				m := poweredAt(t, filesystem, dir)
				m.format()
				store := m.dir + "/disk/root/snapshots/overlayfs"
				s, err := snapshot.Open(store, overlayfs.New(store+"/data", mount.ByDescriptor))
				check(t, err)
				_, err = s.Prepare(t.Context(), key, "", opts...)
				check(t, err)
				check(t, atomicfile.Durable.Filesystem(store)) // as it is before layers are committed

				check(t, s.Commit(t.Context(), name, key, snapshot.WithSynced(), snapshot.WithMore()))
				check(t, atomicfile.Write(m.dir+"/disk/another", []byte("another"), 0o600, atomicfile.Durable))
				check(t, clone(m.disk(), m.next()))
				m.unplug()
				m.plug()

				var left []string
				for _, k := range []string{key, name} {
					if _, err := os.Stat(s.RecordPath(k)); err == nil {
						left = append(left, k)
					}
				}
				t.Logf("there are %q", left)
				if len(left) > 1 && opts == nil {
					t.Error("it is there twice")
				}
				if lost := m.look(map[string]fact{"image busybox:latest": {there: true}}); lost != "" {
					t.Error(lost)
				}
			})
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
