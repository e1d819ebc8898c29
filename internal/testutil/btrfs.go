package testutil

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Btrfs returns a directory on a btrfs of its own, which goes with the test, and makes it the one where
// temporary files of the test and of its children are. In such a child it returns the parent's. It needs
// root and mkfs.btrfs, and has to come before t.TempDir.
func Btrfs(t *testing.T) string {
	t.Helper()
	RequireRoot(t)
	var st unix.Statfs_t
	if dir := os.TempDir(); unix.Statfs(dir, &st) == nil && st.Type == unix.BTRFS_SUPER_MAGIC {
		return dir
	}
	if _, err := exec.LookPath("mkfs.btrfs"); err != nil {
		Missing(t, err)
	}
	base, err := os.MkdirTemp("", "lrun-btrfs-") // t.TempDir would stay where it is now
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	image, dir := filepath.Join(base, "image"), filepath.Join(base, "btrfs")
	for _, args := range [][]string{
		{"truncate", "-s", "1G", image},
		{"mkfs.btrfs", "-q", image},
		{"mkdir", dir},
		{"mount", "-o", "loop", image, dir},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount btrfs: %v, %v", err, unix.Unmount(dir, unix.MNT_DETACH))
		}
	})
	t.Setenv("TMPDIR", dir)
	return dir
}
