package subvolume_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/subvolume"
	"github.com/lrun-dev/lrun/internal/testutil"
)

func ok(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func openDir(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	ok(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func TestLife(t *testing.T) {
	testutil.Btrfs(t)
	dir := t.TempDir()
	defer unix.Umask(unix.Umask(0o077))
	ok(t, subvolume.Create(dir+"/a"), os.WriteFile(dir+"/a/f", []byte("x"), 0o600), os.Mkdir(dir+"/plain", 0o700))
	if st, err := os.Stat(dir + "/a"); err != nil || st.Mode().Perm() != 0o755 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	a := openDir(t, dir+"/a")
	if !subvolume.Is(a) || subvolume.Is(openDir(t, dir+"/plain")) {
		t.Error("a subvolume and a directory are mixed up")
	}
	for range 2 {
		ok(t, subvolume.SetReadOnly(a, true))
	}
	if err := os.WriteFile(dir+"/a/g", nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("read-only: %v", err)
	}
	ok(t, subvolume.Snapshot(dir+"/b", dir+"/a"))
	if err := os.WriteFile(dir+"/b/f", []byte("other"), 0o600); err != nil {
		t.Errorf("a copy of a read-only one: %v", err)
	}
	if b, err := os.ReadFile(dir + "/a/f"); err != nil || string(b) != "x" {
		t.Errorf("the original is %q, %v", b, err)
	}
	for name, err := range map[string]error{
		"create, taken":   subvolume.Create(dir + "/a"),
		"snapshot, taken": subvolume.Snapshot(dir+"/plain", dir+"/a"),
	} {
		if !errors.Is(err, os.ErrExist) && !errors.Is(err, unix.EROFS) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"create, no directory": subvolume.Create(dir + "/none/a"),
		"snapshot of nothing":  subvolume.Snapshot(dir+"/c", dir+"/none"),
		"destroy nothing":      subvolume.Destroy(openDir(t, dir), "none"),
	} {
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := subvolume.Create(dir + "/" + strings.Repeat("n", 4088)); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("a long name: %v", err)
	}
	ok(t, subvolume.Destroy(openDir(t, dir), "a"), subvolume.Destroy(openDir(t, dir), "b"))
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// More than one answer of the kernel holds, and some in others.
func TestNested(t *testing.T) {
	testutil.Btrfs(t)
	dir := t.TempDir()
	ok(t, subvolume.Create(dir+"/top"), os.Mkdir(dir+"/top/plain", 0o700))
	const many = 150
	for i := range many {
		name := filepath.Join(dir, "top/plain", strings.Repeat("n", 20+i))
		ok(t, subvolume.Create(name))
		if i%50 == 0 {
			ok(t, subvolume.Create(name+"/in"), subvolume.Create(name+"/in/in"))
		}
	}
	if n, err := subvolume.Nested(openDir(t, dir+"/top")); err != nil || n != many {
		t.Errorf("%d nested, %v, want %d", n, err, many)
	}
	ok(t, subvolume.Create(dir+"/other"))
	ok(t, subvolume.Destroy(openDir(t, dir), "top"))
	if n, err := subvolume.Nested(openDir(t, dir+"/other")); err != nil || n != 0 {
		t.Errorf("%d in an empty one, %v", n, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func TestSupported(t *testing.T) {
	if yes, err := subvolume.Supported("/proc"); err != nil || yes {
		t.Errorf("/proc: %v, %v", yes, err)
	}
	if _, err := subvolume.Supported("/nowhere"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nowhere: %v", err)
	}
	if subvolume.Is(openDir(t, "/proc")) {
		t.Error("/proc is a subvolume")
	}
	dir := testutil.Btrfs(t)
	if yes, err := subvolume.Supported(dir); err != nil || !yes {
		t.Errorf("btrfs: %v, %v", yes, err)
	}
	for name, err := range map[string]error{
		"elsewhere": subvolume.Create("/dev/shm/lrun-subvolume"),
		"freeze":    subvolume.SetReadOnly(openDir(t, "/proc"), true),
	} {
		if !errors.Is(err, unix.ENOTTY) && !errors.Is(err, unix.EOPNOTSUPP) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
