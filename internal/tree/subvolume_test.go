package tree

import (
	"errors"
	"os"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/subvolume"
	"github.com/lrun-dev/lrun/internal/testutil"
)

// nested makes a directory with subvolumes, each with a file that has two names; they all have the same
// inode number.
func nested(t *testing.T) string {
	t.Helper()
	testutil.Btrfs(t)
	dir := t.TempDir() + "/dir"
	errs := []error{os.Mkdir(dir, 0o700)}
	for _, name := range []string{"/a", "/b", "/b/c"} {
		errs = append(errs, subvolume.Create(dir+name),
			os.WriteFile(dir+name+"/file", []byte(name), 0o600), os.Link(dir+name+"/file", dir+name+"/link"))
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCopyAndUsageOfSubvolumes(t *testing.T) {
	dir := nested(t)
	if err := Copy(t.Context(), dir+"2", dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/a", "/b", "/b/c"} {
		for _, file := range []string{"/file", "/link"} {
			if b, err := os.ReadFile(dir + "2" + name + file); err != nil || string(b) != name {
				t.Errorf("%s%s is %q, %v", name, file, b, err)
			}
		}
	}
	if _, inodes, err := Usage(t.Context(), dir); err != nil || inodes != 7 {
		t.Errorf("%d inodes, %v, want 7", inodes, err)
	}
}

func TestRemoveSubvolumes(t *testing.T) {
	dir := nested(t)
	for _, name := range []string{"/b", "/b/c"} {
		f, err := os.Open(dir + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(subvolume.SetReadOnly(f, true), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	source := t.TempDir()
	if err := errors.Join(os.WriteFile(source+"/precious", nil, 0o600), os.Mkdir(dir+"/a/a mount", 0o700),
		unix.Mount(source, dir+"/a/a mount", "", unix.MS_BIND, "")); err != nil {
		t.Fatal(err)
	}
	if err := Remove(t.Context(), dir); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("with a mount: %v", err)
	}
	if _, err := os.Stat(dir + "/a/a mount/precious"); err != nil {
		t.Errorf("what is mounted: %v", err)
	}
	if _, err := os.Stat(dir + "/b"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what has no mount stays: %v", err)
	}
	if err := unix.Unmount(dir+"/a/a mount", 0); err != nil {
		t.Fatal(err)
	}
	if err := Remove(t.Context(), dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
}

// What the kernel does not destroy at once goes file by file.
func TestRemoveImmutableSubvolume(t *testing.T) {
	dir := nested(t)
	f, err := os.Open(dir + "/b")
	if err != nil {
		t.Fatal(err)
	}
	const immutable = 0x10
	if err := errors.Join(unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, immutable), f.Close()); err != nil {
		t.Fatal(err)
	}
	if err := Remove(t.Context(), dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
}

func TestMountsBelow(t *testing.T) {
	const info = "1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:5 / /a\\040b/c rw - tmpfs none rw\nshort\n3 1 0:6 / /x\\134y rw - tmpfs none rw\n"
	for path, want := range map[string]bool{
		"/a b/c": true, "/a b": true, "/a": false, "/a b/c/d": false, `/x\y`: true, "/x": false, "/a b/": false,
	} {
		if got := mountsBelow(info, path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}
