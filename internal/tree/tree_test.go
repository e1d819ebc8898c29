package tree

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// change makes one file of a test's tree.
type change func(dir string) error

func file(name, content string, mode os.FileMode) change {
	return func(dir string) error {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return err
		}
		return os.Chmod(filepath.Join(dir, name), mode)
	}
}

func directory(name string, mode os.FileMode) change {
	return func(dir string) error {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
		return os.Chmod(filepath.Join(dir, name), mode)
	}
}

func symlink(target, name string) change {
	return func(dir string) error { return os.Symlink(target, filepath.Join(dir, name)) }
}

func hardlink(old, name string) change {
	return func(dir string) error { return os.Link(filepath.Join(dir, old), filepath.Join(dir, name)) }
}

func node(name string, mode uint32, dev uint64) change {
	return func(dir string) error { return unix.Mknod(filepath.Join(dir, name), mode, int(dev)) }
}

func xattr(name, attr, value string) change {
	return func(dir string) error { return unix.Lsetxattr(filepath.Join(dir, name), attr, []byte(value), 0) }
}

func owner(name string, uid, gid int) change {
	return func(dir string) error { return os.Lchown(filepath.Join(dir, name), uid, gid) }
}

func mtime(name string, sec, nsec int64) change {
	return func(dir string) error {
		ts := []unix.Timespec{{Sec: 5, Nsec: 6}, {Sec: sec, Nsec: nsec}}
		return unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(dir, name), ts, unix.AT_SYMLINK_NOFOLLOW)
	}
}

// apply makes the changes in dir.
func apply(t testing.TB, dir string, changes ...change) {
	t.Helper()
	for i, c := range changes {
		if err := c(dir); err != nil {
			t.Fatalf("change %d: %v", i, err)
		}
	}
}

// nest makes a chain of levels directories, deeper than any path can name, each with one file.
func nest(t testing.TB, dir string, levels int) {
	t.Helper()
	at, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range levels {
		if err := unix.Mkdirat(at, "dd", 0o755); err != nil {
			t.Fatalf("level %d: %v", i, err)
		}
		if err := unix.Mknodat(at, "f", unix.S_IFREG|0o600, 0); err != nil {
			t.Fatalf("level %d: %v", i, err)
		}
		next, err := unix.Openat(at, "dd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(at)
		at = next
	}
	unix.Close(at)
}

// wide makes a tree of dirs directories with files files of size bytes each.
func wide(t testing.TB, dir string, dirs, files, size int) {
	t.Helper()
	content := strings.Repeat("x", size)
	for d := range dirs {
		apply(t, dir, directory(fmt.Sprint(d), 0o755))
		for f := range files {
			apply(t, dir, file(fmt.Sprintf("%d/%d", d, f), content, 0o644))
		}
	}
}

// memory is a scratch directory in memory where there is one: thousands of levels take seconds on a disk.
func memory(t testing.TB) string {
	t.Helper()
	if _, err := os.Stat("/dev/shm"); err == nil {
		return scratchIn(t, "/dev/shm")
	}
	return scratch(t)
}

func scratch(t testing.TB) string { return scratchIn(t, "") }

// scratchIn is a directory that is removed as the package does it, because os.RemoveAll of t.TempDir
// fails on trees that are immutable.
func scratchIn(t testing.TB, parent string) string {
	t.Helper()
	dir, err := os.MkdirTemp(parent, "tree-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Remove(context.Background(), dir); err != nil { // the test's own context is over
			t.Error(err)
		}
	})
	return dir
}

var longAgo = time.Unix(-1_000_000_000, 123456789)
