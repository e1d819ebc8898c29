package inode

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open makes a directory with one of everything and returns a descriptor of it.
func open(t *testing.T) (fd int, dir string) {
	t.Helper()
	dir = t.TempDir()
	must(t, os.MkdirAll(dir+"/d/e/f", 0o755))
	must(t, os.WriteFile(dir+"/d/e/file", []byte("x"), 0o644))
	must(t, os.Symlink("d", dir+"/link"))
	must(t, os.WriteFile(dir+"/file", []byte("x"), 0o644))
	must(t, unix.Mkfifo(dir+"/fifo", 0o644))
	fd, err := OpenDir(unix.AT_FDCWD, dir)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd, dir
}

func TestLinksAreNotFollowed(t *testing.T) {
	fd, _ := open(t)
	if _, err := OpenDir(fd, "link"); !errors.Is(err, unix.ENOTDIR) && !errors.Is(err, unix.ELOOP) {
		t.Errorf("open directory: %v", err)
	}
	if _, err := OpenAt(fd, "link", unix.O_RDONLY|unix.O_NOFOLLOW, 0); !errors.Is(err, unix.ELOOP) {
		t.Errorf("open: %v", err)
	}
	for _, name := range []string{"link", "fifo", "file", "d"} {
		p, err := OpenPath(fd, name)
		must(t, err)
		byFD, err := Fstat(p)
		must(t, err)
		byName, err := Stat(fd, name)
		must(t, err)
		if IDOf(byFD) != IDOf(byName) || IsType(byFD, unix.S_IFLNK) != (name == "link") {
			t.Errorf("%s: %o, %o", name, byFD.Mode, byName.Mode)
		}
		if name == "link" {
			target, err := Readlink(p, "")
			if err != nil || target != "d" {
				t.Errorf("target %q, %v", target, err)
			}
		}
		unix.Close(p)
	}
	if target, err := Readlink(fd, "link"); err != nil || target != "d" {
		t.Errorf("target %q, %v", target, err)
	}
	if _, err := Readlink(fd, "file"); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a file as a link: %v", err)
	}
}

func TestNames(t *testing.T) {
	fd, _ := open(t)
	for range 2 { // the offset stays
		names, err := Names(fd)
		if err != nil || !slices.Equal(names, []string{"d", "fifo", "file", "link"}) {
			t.Fatalf("%q, %v", names, err)
		}
	}
}

func TestRemoveTree(t *testing.T) {
	fd, dir := open(t)
	for _, name := range []string{"link", "missing", "fifo", "d"} {
		if err := RemoveTree(fd, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is still there", name)
		}
		if _, err := os.Lstat(dir + "/d/e/file"); name == "link" && err != nil {
			t.Errorf("went through the link: %v", err)
		}
	}
	if names, _ := Names(fd); !slices.Equal(names, []string{"file"}) {
		t.Errorf("left %q", names)
	}
}

func TestKeepTime(t *testing.T) {
	fd, dir := open(t)
	at := time.Unix(-7, 123456789)
	must(t, os.Chtimes(dir, at, at))
	broken := errors.New("broken")
	err := KeepTime(fd, func() error { return errors.Join(os.Remove(dir+"/file"), broken) })
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if fi, err := os.Stat(dir); err != nil || !fi.ModTime().Equal(at) {
		t.Errorf("%v, %v", fi.ModTime(), err)
	}
}

func TestMetadata(t *testing.T) {
	testutil.RequireRoot(t)
	fd, dir := open(t)
	defer unix.Umask(unix.Umask(0o077))
	capability := "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	for _, tt := range []struct {
		name string
		m    Metadata
	}{
		{"file", Metadata{Mode: 0o6755, UID: 70000, GID: 4_294_967_294, Mtime: unix.Timespec{Sec: -5, Nsec: 7}, Xattrs: map[string]string{"security.capability": capability, "user.empty": "", "user.long": strings.Repeat("x", 3000)}}},
		{"d", Metadata{Mode: 0o3777, UID: 1, GID: 2, Mtime: unix.Timespec{Sec: 1 << 33}, Xattrs: map[string]string{"user.x": "\x00\xff"}}},
		{"fifo", Metadata{Mode: 0o600, UID: 1, Mtime: unix.Timespec{Nsec: 1}, Xattrs: map[string]string{"trusted.x": "y"}}},
		{"link", Metadata{Mode: 0o777, UID: 3, GID: 4, Mtime: unix.Timespec{Sec: 9}, Symlink: true, Xattrs: map[string]string{"trusted.x": "y"}}},
		{"d", Implied()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			must(t, tt.m.Write(File{fd, tt.name}))
			p, err := OpenPath(fd, tt.name)
			must(t, err)
			defer unix.Close(p)
			got, err := Read(p)
			must(t, err)
			if got.Mode != tt.m.Mode || got.UID != tt.m.UID || got.GID != tt.m.GID || got.Mtime != tt.m.Mtime || got.Symlink != tt.m.Symlink {
				t.Errorf("got %+v", got)
			}
			if len(got.Xattrs) != len(tt.m.Xattrs) {
				t.Errorf("xattrs %q", got.Xattrs)
			}
			for name, value := range tt.m.Xattrs {
				if got.Xattrs[name] != value {
					t.Errorf("%s is %q", name, got.Xattrs[name])
				}
			}
			must(t, File{fd, tt.name}.DropXattrs())
			if left, err := Xattrs(p); err != nil || len(left) != 0 {
				t.Errorf("left %q, %v", left, err)
			}
		})
	}
	if fi, err := os.Lstat(dir + "/d/e"); err != nil || fi.Mode().Perm() != 0o755 {
		t.Errorf("something else changed: %v, %v", fi.Mode(), err)
	}
}

// TestWriteNew: a new file gets all that it lacks, whichever part that is.
func TestWriteNew(t *testing.T) {
	testutil.RequireRoot(t)
	fd, dir := open(t)
	for i, m := range []Metadata{
		{Mode: 0o640},
		{Mode: 0o644},
		{Mode: 0o4640},
		{Mode: 0o640, UID: 5},
		{Mode: 0o6640, GID: 6},
		{Mode: 0o640, Xattrs: map[string]string{"user.x": "y"}},
		{Mode: 0o640, Mtime: unix.Timespec{Sec: -7, Nsec: 5}},
	} {
		name := fmt.Sprint("new", i)
		f, err := OpenAt(fd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o640)
		must(t, err)
		st, err := Fstat(f)
		must(t, errors.Join(err, unix.Close(f)))
		must(t, m.WriteNew(File{fd, name}, st))
		p, err := OpenPath(unix.AT_FDCWD, dir+"/"+name)
		must(t, err)
		got, err := Read(p)
		must(t, errors.Join(err, unix.Close(p)))
		if !reflect.DeepEqual(got, m) {
			t.Errorf("got %+v, want %+v", got, m)
		}
	}
}

func TestForeignXattrs(t *testing.T) {
	testutil.RequireRoot(t)
	fd, dir := open(t)
	for _, name := range []string{"trusted.overlay.opaque", "user.overlay.x", "user.overlayed", "security.selinux"} {
		must(t, unix.Setxattr(dir+"/d", name, []byte("y"), 0))
	}
	p, err := OpenPath(fd, "d")
	must(t, err)
	defer unix.Close(p)
	m, err := Read(p)
	if err != nil || len(m.Xattrs) != 1 || m.Xattrs["user.overlayed"] != "y" {
		t.Errorf("%q, %v", m.Xattrs, err)
	}
	must(t, File{fd, "d"}.DropXattrs())
	if all, err := Xattrs(p); err != nil || len(all) != 3 {
		t.Errorf("%q, %v", all, err)
	}
}

func TestHasDefaultACL(t *testing.T) {
	testutil.RequireRoot(t)
	fd, dir := open(t)
	if HasDefaultACL(fd) {
		t.Error("of a plain directory")
	}
	acl := "\x02\x00\x00\x00\x01\x00\x07\x00\xff\xff\xff\xff\x04\x00\x05\x00\xff\xff\xff\xff\x20\x00\x00\x00\xff\xff\xff\xff"
	must(t, unix.Setxattr(dir, ACLDefault, []byte(acl), 0))
	if !HasDefaultACL(fd) {
		t.Error("not seen")
	}
}
