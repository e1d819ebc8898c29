package filesystem_test

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/runtime/filesystem"
	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestSplit(t *testing.T) {
	for options, want := range map[string]struct {
		attr uint64
		data string
	}{
		"":                            {0, ""},
		"ro nosuid nodev noexec":      {unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC, ""},
		"noexec mode=755 exec size=1": {0, "mode=755 size=1"},
		"noatime nosuid suid":         {unix.MOUNT_ATTR_NOATIME, ""},
		"strictatime rbind":           {unix.MOUNT_ATTR_STRICTATIME, "rbind"},
		"noatime strictatime":         {unix.MOUNT_ATTR_STRICTATIME, ""},
		"noatime relatime":            {0, ""},
		"nodiratime sync":             {unix.MOUNT_ATTR_NODIRATIME, "sync"},
		"ro nodev rw dev":             {0, ""},
	} {
		t.Run(options, func(t *testing.T) {
			attr, data := filesystem.Split(strings.Fields(options))
			if attr != want.attr || strings.Join(data, " ") != want.data {
				t.Errorf("got %#x %q", attr, data)
			}
		})
	}
}

func open(t *testing.T, options ...string) *os.File {
	t.Helper()
	testutil.RequireRoot(t)
	fs, err := filesystem.Open("tmpfs", options, unix.MOUNT_ATTR_NOSUID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fs.Close() })
	return fs
}

// inside is the path of a name in a detached mount.
func inside(fs *os.File, name string) string {
	return "/proc/self/fd/" + strconv.Itoa(int(fs.Fd())) + "/" + name
}

func TestOpen(t *testing.T) {
	fs := open(t, "mode=711", "size=4k")
	info, err := os.Stat(inside(fs, "."))
	if err != nil || info.Mode().Perm() != 0o711 {
		t.Errorf("got %v, %v", info, err)
	}
	for _, options := range [][]string{{"nonsense"}, {"size=many"}, {"mode=9"}} {
		if _, err := filesystem.Open("tmpfs", options, 0); err == nil || !strings.Contains(err.Error(), options[0]) {
			t.Errorf("%q: got %v", options, err)
		}
	}
	if _, err := filesystem.Open("nonsense", nil, 0); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("got %v", err)
	}
}

func TestFillDev(t *testing.T) {
	fs := open(t)
	mode, uid, gid := os.FileMode(0o640), uint32(7), uint32(8)
	devices := []specs.LinuxDevice{
		{Path: "/dev/null", Type: "c", Major: 1, Minor: 3},
		{Path: "/dev/deep/er/disk", Type: "b", Major: 7, Minor: 1, FileMode: &mode, UID: &uid, GID: &gid},
	}
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	if err := filesystem.FillDev(fs, devices, spec.UserNamespace{}, true); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]unix.Stat_t{
		"shm":          {Mode: unix.S_IFDIR | 0o1777},
		"deep":         {Mode: unix.S_IFDIR | 0o755},
		"null":         {Mode: unix.S_IFCHR | 0o666, Rdev: unix.Mkdev(1, 3)},
		"deep/er/disk": {Mode: unix.S_IFBLK | 0o640, Rdev: unix.Mkdev(7, 1), Uid: 7, Gid: 8},
	} {
		var st unix.Stat_t
		if err := unix.Lstat(inside(fs, name), &st); err != nil {
			t.Fatal(err)
		}
		if st.Mode != want.Mode || st.Rdev != want.Rdev || st.Uid != want.Uid || st.Gid != want.Gid {
			t.Errorf("%s: got %o %x %d:%d", name, st.Mode, st.Rdev, st.Uid, st.Gid)
		}
	}
	entries, err := os.ReadDir(inside(fs, "."))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	for _, want := range []string{"fd", "stdin", "stdout", "stderr", "ptmx", "pts", "shm", "mqueue"} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s in %q", want, names)
		}
	}
}

func TestFillDevWithoutSharedMemory(t *testing.T) {
	fs := open(t)
	if err := filesystem.FillDev(fs, nil, spec.UserNamespace{}, false); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{"shm": unix.ENOENT, "mqueue": nil, "pts": nil} {
		if err := unix.Access(inside(fs, name), unix.F_OK); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
