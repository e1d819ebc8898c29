package mountpoint

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/overlay"
	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestFill(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	dir := filepath.Join(t.TempDir(), directory)
	var want []string
	for _, name := range append(spec.MountPoints(), "etc") {
		mode := "drwxr-xr-x "
		if strings.HasPrefix(name, "etc/") {
			mode = "-rw-r--r-- "
		}
		want = append(want, mode+name)
	}
	slices.Sort(want)
	for _, state := range []string{"nothing", "all", "a part"} {
		if state == "a part" { // as a killed lrun leaves it
			for _, name := range []string{"etc/resolv.conf", "sys"} {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := fill(dir); err != nil {
			t.Fatal(err)
		}
		if got := names(t, dir); !slices.Equal(got, want) {
			t.Errorf("after %s: got %q, want %q", state, got, want)
		}
	}
}

// names are modes and names of all that is below dir.
func names(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		all = append(all, fmt.Sprint(info.Mode(), " ", strings.TrimPrefix(path, dir+"/")))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// What the image has, or has removed, is seen as in the image; what it lacks is there without a change of the upperdir.
func TestBelow(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	for name, c := range map[string]struct {
		make func(layer string) error
		want []string // those of the names that are there, with their type
	}{
		"an empty image":   {func(string) error { return nil }, []string{"d dev", "- etc/hostname", "- etc/hosts", "- etc/resolv.conf", "d proc", "d sys"}},
		"etc is a symlink": {func(layer string) error { return os.Symlink("usr/etc", layer+"/etc") }, []string{"d dev", "d proc", "d sys"}},
		"a file is there": {func(layer string) error {
			return os.MkdirAll(layer+"/etc/hosts", 0o700) // of another type
		}, []string{"d dev", "- etc/hostname", "d etc/hosts", "- etc/resolv.conf", "d proc", "d sys"}},
		"removed": {func(layer string) error {
			return unix.Mknod(layer+"/etc", unix.S_IFCHR, 0)
		}, []string{"d dev", "d proc", "d sys"}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for _, d := range []string{"layer", "upper", "work"} {
				if err := os.Mkdir(filepath.Join(root, d), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.make(root + "/layer"); err != nil {
				t.Fatal(err)
			}
			m, err := overlay.Mount([]string{root + "/layer"}, root+"/upper", root+"/work", overlay.Options{Method: mount.ByNumber})
			if err == nil {
				m, err = Below(m, root)
			}
			if err != nil {
				t.Fatal(err)
			}
			f, err := m.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var got []string
			for _, n := range spec.MountPoints() {
				var st unix.Stat_t
				if unix.Fstatat(int(f.Fd()), n, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
					got = append(got, map[bool]string{true: "d ", false: "- "}[st.Mode&unix.S_IFMT == unix.S_IFDIR]+n)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if left := names(t, root+"/upper"); len(left) > 0 {
				t.Errorf("the upperdir has %q", left)
			}
		})
	}
}

func TestBelowLeavesAlone(t *testing.T) {
	root := t.TempDir()
	full := make([]string, overlay.MaxLowers)
	for i := range full {
		full[i] = fmt.Sprint("/", i)
	}
	most, err := overlay.Mount(full, "/upper", "/work", overlay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]mount.Mount{"as many layers as can be": most, "a copy": {Type: "bind", Source: "/copy"}} {
		got, err := Below(m, root)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(m) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(root, directory)); err == nil {
		t.Error("it was made for nothing")
	}
}
