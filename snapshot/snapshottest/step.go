package snapshottest

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// step changes a tree.
type step func(dir string) error

func write(name, content string) step {
	return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644) }
}

func mkdir(name string) step {
	return func(dir string) error { return os.Mkdir(filepath.Join(dir, name), 0o755) }
}

func remove(name string) step {
	return func(dir string) error { return os.RemoveAll(filepath.Join(dir, name)) }
}

func chmod(name string, mode uint32) step {
	return func(dir string) error { return unix.Chmod(dir+"/"+name, mode) }
}

func chown(name string, uid, gid int) step {
	return func(dir string) error { return os.Lchown(dir+"/"+name, uid, gid) }
}

func xattr(name, attr, value string) step {
	return func(dir string) error { return unix.Lsetxattr(dir+"/"+name, attr, []byte(value), 0) }
}

func symlink(target, name string) step {
	return func(dir string) error { return os.Symlink(target, filepath.Join(dir, name)) }
}

func link(old, name string) step {
	return func(dir string) error { return os.Link(filepath.Join(dir, old), filepath.Join(dir, name)) }
}

func rename(old, name string) step {
	return func(dir string) error { return os.Rename(filepath.Join(dir, old), filepath.Join(dir, name)) }
}

func node(name string, mode uint32, dev uint64) step {
	return func(dir string) error { return unix.Mknod(filepath.Join(dir, name), mode, int(dev)) }
}

func truncate(name string, size int64) step {
	return func(dir string) error { return os.Truncate(filepath.Join(dir, name), size) }
}

func mtime(name string, sec, nsec int64) step {
	return func(dir string) error {
		ts := []unix.Timespec{{Sec: sec, Nsec: nsec}, {Sec: sec, Nsec: nsec}}
		return unix.UtimesNanoAt(unix.AT_FDCWD, dir+"/"+name, ts, unix.AT_SYMLINK_NOFOLLOW)
	}
}

// base is a tree with something of each kind.
func base() []step {
	return []step{
		write("file", "base"), write("setuid", "base"), chown("setuid", 3, 4), chmod("setuid", 0o4755),
		mkdir("dir"), write("dir/a", "a"), write("dir/b", "b"), mkdir("dir/sub"), write("dir/sub/c", "c"),
		symlink("file", "link"), symlink("dir", "dirlink"), link("file", "hard"),
		node("null", unix.S_IFCHR|0o666, unix.Mkdev(1, 3)), node("fifo", unix.S_IFIFO|0o600, 0),
		xattr("file", "user.x", "base"), xattr("dir", "trusted.y", "base"),
		chown("dir", 70000, 80000), chmod("dir", 0o2775), mtime("file", -7, 123456789), mtime("dir", 5, 6),
	}
}

// worst is what root can do to all that base made.
func worst() []step {
	return []step{
		write("file", "other"), truncate("hard", 2), xattr("file", "user.x", "other"), xattr("file", "user.new", "1"),
		chmod("setuid", 0o600), chown("setuid", 9, 9), mtime("setuid", 1, 1),
		link("dir/a", "dir/a2"), write("dir/a2", "other"), rename("dir/b", "moved"), write("dir/sub/c", "other"),
		remove("dir/sub"), mkdir("dir/sub"), write("dir/sub/new", "new"), chown("dir", 1, 1), chmod("dir", 0o700),
		remove("link"), write("link", "a file now"), write("dirlink/through", "x"), remove("dirlink"), mkdir("dirlink"),
		remove("null"), node("null", unix.S_IFBLK|0o600, unix.Mkdev(7, 7)), chmod("fifo", 0o666), rename("fifo", "file"),
		chmod(".", 0o711), chown(".", 5, 5), xattr(".", "user.root", "1"), mtime(".", 2, 2),
		remove("dir"), write("dir", "a file now"),
	}
}
