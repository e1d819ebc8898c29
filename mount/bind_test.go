package mount

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

func TestBind(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	source := filepath.Join(t.TempDir(), oddName)
	mkdir(t, source+"/below")
	sub := Mount{Type: "tmpfs", Source: "tmpfs"}
	if err := sub.At(source + "/below"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Unmount(source + "/below") })
	if err := os.WriteFile(source+"/below/there", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	rbind, rro := Option{Key: "rbind"}, Option{Key: "rro"}
	tests := []struct {
		name                 string
		m                    Mount
		below                bool  // what is mounted below comes along
		writeTop, writeBelow error // what writing says
	}{
		{"plain", Mount{}, false, nil, nil},
		{"read-only", Mount{ReadOnly: true}, false, unix.EROFS, unix.EROFS},
		{"recursive", Mount{Options: []Option{rbind}}, true, nil, nil},
		{"recursive, read-only at the top", Mount{Options: []Option{rbind}, ReadOnly: true}, true, unix.EROFS, nil},
		{"recursive, read-only below too", Mount{Options: []Option{rbind, rro}, ReadOnly: true}, true, unix.EROFS, unix.EROFS},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.m.Type, tt.m.Source = "bind", source
			target := attach(t, tt.m)
			if _, err := os.Stat(target + "/below/there"); (err == nil) != tt.below {
				t.Errorf("what is mounted below: %v", err)
			}
			if err := os.WriteFile(target+"/new", nil, 0o600); !errors.Is(err, tt.writeTop) {
				t.Errorf("write: %v, want %v", err, tt.writeTop)
			}
			if err := os.WriteFile(target+"/below/new", nil, 0o600); !errors.Is(err, tt.writeBelow) {
				t.Errorf("write below: %v, want %v", err, tt.writeBelow)
			}
		})
	}
}

func TestBindFile(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	dir := t.TempDir()
	for _, name := range []string{"source", "target"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := Mount{Type: "bind", Source: dir + "/source", ReadOnly: true, Options: []Option{{Key: "noexec"}, {Key: "nodev"}, {Key: "nosymfollow"}}}
	if err := m.At(dir + "/target"); err != nil {
		t.Fatal(err)
	}
	defer Unmount(dir + "/target")
	if got := read(t, dir+"/target"); got != "source" {
		t.Errorf("read %q", got)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir+"/target", &st); err != nil {
		t.Fatal(err)
	}
	if want := int64(unix.ST_RDONLY | unix.ST_NOEXEC | unix.ST_NODEV); st.Flags&want != want {
		t.Errorf("flags %x", st.Flags)
	}
}

// A clone of a shared mount would hand on what is mounted in it later.
func TestBindIsPrivate(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	shared := t.TempDir()
	if err := (Mount{Type: "tmpfs", Source: "tmpfs"}).At(shared); err != nil {
		t.Fatal(err)
	}
	defer Unmount(shared)
	if err := unix.Mount("", shared, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	mkdir(t, shared+"/d/later")
	f, err := Mount{Type: "bind", Source: shared + "/d"}.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := (Mount{Type: "tmpfs", Source: "tmpfs"}).At(shared + "/d/later"); err != nil {
		t.Fatal(err)
	}
	defer Unmount(shared + "/d/later")
	var st unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "later", 0, 0, &st); err != nil {
		t.Fatal(err)
	}
	if st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		t.Error("what was mounted in the source shows in the clone")
	}
}

// What is mounted in the source later shows in a clone that shares or follows it, and the other way in one that shares.
func TestBindPropagation(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	private := t.TempDir() // what is mounted below a shared mount, as / is where systemd runs, is shared as well
	if err := (Mount{Type: "tmpfs", Source: "tmpfs"}).At(private); err != nil {
		t.Fatal(err)
	}
	defer Unmount(private)
	if err := unix.Mount("", private, "", unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", private)
	source := filepath.Join(private, "source")
	mkdir(t, source)
	if err := (Mount{Type: "tmpfs", Source: "tmpfs"}).At(source); err != nil {
		t.Fatal(err)
	}
	defer Unmount(source)
	if point, shared, slave, err := Propagation(source); err != nil || point != source || slave {
		t.Errorf("new: mounted on %s, shared %t, slave %t, %v", point, shared, slave, err)
	}
	if err := unix.Mount("", source, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	mkdir(t, source+"/in")
	mkdir(t, source+"/out")
	if point, shared, _, err := Propagation(source + "/in"); err != nil || point != source || !shared {
		t.Errorf("shared: mounted on %s, shared %t, %v", point, shared, err)
	}
	for _, tt := range []struct {
		option  string
		in, out bool
		slave   bool
	}{{"private", false, false, false}, {"shared", true, true, false}, {"rshared", true, true, false}, {"slave", true, false, true}, {"rslave", true, false, true}} {
		t.Run(tt.option, func(t *testing.T) {
			target := attach(t, Mount{Type: "bind", Source: source, Options: []Option{{Key: "rbind"}, {Key: tt.option}}})
			if _, shared, slave, err := Propagation(target); err != nil || shared != tt.out || slave != tt.slave {
				t.Errorf("shared %t, slave %t, %v", shared, slave, err)
			}
			for _, way := range []struct {
				at, seen string
				want     bool
			}{{source + "/in", target + "/in", tt.in}, {target + "/out", source + "/out", tt.out}} {
				if err := (Mount{Type: "tmpfs", Source: "tmpfs"}).At(way.at); err != nil {
					t.Fatal(err)
				}
				if got := isMountPoint(way.seen); got != way.want {
					t.Errorf("mounted at %s, seen at %s: %t", way.at, way.seen, got)
				}
				if err := Unmount(way.at); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if _, _, _, err := Propagation(source + "/none"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("of nothing: %v", err)
	}
}

func TestUnmount(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	dir := t.TempDir()
	mkdir(t, dir+"/mounted")
	mkdir(t, dir+"/plain")
	for name, to := range map[string]string{"link": dir + "/mounted", "loop": dir + "/loop"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	m := Mount{Type: "tmpfs", Source: "tmpfs"}
	for range 2 {
		if err := m.At(dir + "/mounted"); err != nil {
			t.Fatal(err)
		}
	}
	busy, err := os.Create(dir + "/mounted/busy")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, name := range []string{"plain", "none", "none/below", "link", "loop"} {
		if err := Unmount(filepath.Join(dir, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, left := range []bool{true, false, false} {
		if err := Unmount(dir + "/mounted"); err != nil {
			t.Error(err)
		}
		if isMountPoint(dir+"/mounted") != left {
			t.Errorf("mounted: %t, want %t", !left, left)
		}
	}
}
