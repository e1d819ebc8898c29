package rootdir_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/cmd/lrun/container/rootdir"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/runtime"
)

func TestParse(t *testing.T) {
	top := t.TempDir()
	for _, dir := range []string{"dir", "store/snapshots", "with/store"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"link": "dir", "loop": "loop", "tostore": "store"} {
		if err := os.Symlink(to, filepath.Join(top, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(top, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for value, c := range map[string]struct {
		dir   string
		write bool
		class error
	}{
		"dir":             {"dir", false, nil},
		"dir:rw":          {"dir", true, nil},
		"link/":           {"dir", false, nil},
		"none":            {"", false, os.ErrNotExist},
		"dir:ro":          {"", false, os.ErrNotExist},
		"file":            {"", false, errdefs.ErrInvalidArgument},
		"store":           {"", false, errdefs.ErrInvalidArgument},
		"store/snapshots": {"", false, errdefs.ErrInvalidArgument},
		"tostore":         {"", false, errdefs.ErrInvalidArgument},
		".":               {"", false, errdefs.ErrInvalidArgument},
	} {
		t.Run(value, func(t *testing.T) {
			dir, write, err := rootdir.Parse(filepath.Join(top, value), filepath.Join(top, "store"))
			if c.class != nil {
				if !errors.Is(err, c.class) {
					t.Errorf("got %s, %v", dir, err)
				}
				return
			}
			if err != nil || dir != filepath.Join(top, c.dir) || write != c.write {
				t.Errorf("got %s, %t, %v", dir, write, err)
			}
		})
	}
	if _, _, err := rootdir.Parse("", top); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("nothing: %v", err)
	}
	if _, _, err := rootdir.Parse("/", "/var/lib/none-such"); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("the host's root: %v", err)
	}
}

func TestMount(t *testing.T) {
	for driver, want := range map[string]string{"overlayfs": "overlay", "vfs": "bind"} {
		m, err := rootdir.Mount(runtime.Container{RootDir: "/srv", Driver: driver}, "/data/1/fs", mount.ByNumber)
		if err != nil || m.Type != want || m.Source == "/srv" {
			t.Errorf("%s: %+v, %v", driver, m, err)
		}
	}
	m, err := rootdir.Mount(runtime.Container{RootDir: "/srv", RootWrite: true, Driver: "overlayfs"}, "/data/1/fs", mount.ByNumber)
	if err != nil || m.Type != "bind" || m.Source != "/srv" {
		t.Errorf("written through: %+v, %v", m, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("/tmp:rw")
	f.Add(":rw:rw")
	f.Fuzz(func(t *testing.T, value string) {
		dir, _, err := rootdir.Parse(value, "/var/lib/lrun")
		if err == nil && (!filepath.IsAbs(dir) || strings.HasPrefix(dir, "/var/lib/lrun")) {
			t.Errorf("%q is %q", value, dir)
		}
	})
}
