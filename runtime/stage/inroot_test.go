package stage

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/lrun-dev/lrun/runtime/stage/sys"
)

// trap is a root directory in which every name leads out of it, and the directory outside.
func trap(t *testing.T) (root int, dir, outside string) {
	t.Helper()
	base := t.TempDir()
	dir, outside = filepath.Join(base, "root"), filepath.Join(base, "outside")
	for _, d := range []string{dir, outside, filepath.Join(dir, "real")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"absolute": outside, "up": "../outside", "chain": "up", "dangling": "../outside/new", "deep": "/real/../../outside/deep/er",
		"loop": "loop", "inside": "/real/made", "relative": "real/there",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return int(f.Fd()), dir, outside
}

func TestNothingIsMadeOutsideTheRoot(t *testing.T) {
	root, _, outside := trap(t)
	for _, path := range []string{
		"/absolute/x", "/up/x", "/chain/x", "/dangling", "/deep", "/../../outside/x", "/absolute", "/up", "up/../../outside/y", "/loop", "/loop/x",
	} {
		for _, file := range []bool{false, true} {
			fd, _ := ensure(root, path, file, maxLinks)
			sys.Close(fd)
		}
	}
	entries, err := os.ReadDir(outside)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("made outside the root: %s", e.Name())
	}
}

func TestEnsureMakesWhatALinkNames(t *testing.T) {
	root, dir, _ := trap(t)
	for path, made := range map[string]string{
		"/inside": "real/made", "/relative": "real/there", "/a/b/c": "a/b/c", "plain": "plain", "/real/../sub": "sub",
	} {
		fd, errno := ensureFile(root, path)
		if errno != 0 {
			t.Errorf("%s: %v", path, errno)
			continue
		}
		sys.Close(fd)
		if st, err := os.Lstat(filepath.Join(dir, made)); err != nil || !st.Mode().IsRegular() {
			t.Errorf("%s did not make the file %s: %v", path, made, err)
		}
	}
}

func TestEnsureDirRefusesAFile(t *testing.T) {
	root, dir, _ := trap(t)
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if fd, errno := ensureDir(root, "/file"); errno != syscall.ENOTDIR {
		sys.Close(fd)
		t.Errorf("got %v, want ENOTDIR", errno)
	}
	if fd, errno := ensureDir(root, "/loop"); errno != syscall.ELOOP {
		sys.Close(fd)
		t.Errorf("got %v, want ELOOP", errno)
	}
}

func TestPlainTargetRefusesLinks(t *testing.T) {
	root, _, _ := trap(t)
	c := &child{root: root}
	for _, path := range []string{"/inside", "/relative", "/absolute", "/up/x"} {
		if fd, errno := c.target(&Step{Path: path, Flags: NoSymlinks}); errno != syscall.ELOOP {
			sys.Close(fd)
			t.Errorf("%s: got %v, want ELOOP", path, errno)
		}
	}
	fd, errno := c.target(&Step{Path: "/real/new", Flags: NoSymlinks})
	sys.Close(fd)
	if errno != 0 {
		t.Errorf("a path without links: %v", errno)
	}
}
