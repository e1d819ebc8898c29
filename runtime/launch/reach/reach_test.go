package reach_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/runtime/launch/reach"
	"github.com/lrun-dev/lrun/runtime/spec"
)

const mappedRoot = 1_900_000_000

// own is a directory of a container below a state directory, which lies in above.
func own(t *testing.T) (dir, above string) {
	t.Helper()
	above = t.TempDir()
	for _, up := range []string{above, filepath.Dir(above)} {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir = filepath.Join(above, "state", "containers", "id")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir, above
}

// as runs a command as a user.
func as(uid uint32, command ...string) error {
	c := exec.Command(command[0], command[1:]...)
	c.Dir, c.SysProcAttr = "/", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	return c.Run()
}

func TestOpen(t *testing.T) {
	testutil.RequireRoot(t)
	dir, above := own(t)
	owners := mount.Owners{UID: mappedRoot, GID: mappedRoot}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := as(mappedRoot, "cat", file); err == nil {
		t.Fatal("it can be read before")
	}
	if err := reach.Open(dir, owners); err != nil {
		t.Fatal(err)
	}
	if err := as(mappedRoot, "cat", file); err != nil {
		t.Error(err)
	}
	for _, closed := range []string{dir, filepath.Dir(dir), filepath.Dir(filepath.Dir(dir))} {
		if err := as(mappedRoot, "ls", closed); err == nil {
			t.Errorf("%s can be listed", closed)
		}
	}
	if err := as(mappedRoot+1, "cat", file); err == nil {
		t.Error("somebody else can read it")
	}
	if err := os.Chmod(above, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := reach.Open(dir, owners); !errors.Is(err, errdefs.ErrFailedPrecondition) || !strings.Contains(err.Error(), above+",") {
		t.Errorf("got %v", err)
	}
	if info, err := os.Stat(above); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("what is not lrun's has changed: %v, %v", info, err)
	}
	for _, owner := range [][2]int{{mappedRoot, 0}, {0, mappedRoot}} { // who may enter as owner or group
		if err := errors.Join(os.Chown(above, owner[0], owner[1]), os.Chmod(above, 0o710), reach.Open(dir, owners), as(mappedRoot, "cat", file)); err != nil {
			t.Errorf("%v: %v", owner, err)
		}
	}
}

// namespace is a user namespace of 100 ids whose root is mappedRoot.
func namespace(t *testing.T) *mount.Owners {
	t.Helper()
	c := exec.Command("sleep", "1000")
	ids := []syscall.SysProcIDMap{{HostID: mappedRoot, Size: 100}}
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids, Pdeathsig: unix.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", c.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &mount.Owners{Namespace: f, UID: mappedRoot, GID: mappedRoot}
}

func owner(t *testing.T, path string) int {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return int(st.Uid)
}

func TestAttach(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	dir, _ := own(t)
	from := t.TempDir()
	if err := os.WriteFile(from+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	part, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	before := []specs.Mount{
		{Destination: "/mapped", Type: "bind", Source: from, Options: []string{"rbind", "rprivate", "ro", "idmap"}, UIDMappings: []specs.LinuxIDMapping{{Size: 1}}},
		{Destination: "/file", Type: "bind", Source: from + "/file", Options: []string{"bind", "idmap"}},
		{Destination: "/part", Type: "bind", Source: fmt.Sprintf("/proc/self/fd/%d", part.Fd()), Options: []string{"bind"}},
		{Destination: "/plain", Type: "bind", Source: from, Options: []string{"bind"}},
	}
	config := &specs.Spec{Mounts: before}
	defer func() {
		if err := reach.Detach(dir); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	}()
	if err := reach.Attach(config, dir, namespace(t)); err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		file  string
		owner int
	}{{"/file", mappedRoot}, {"", mappedRoot}, {"/file", 0}, {"/file", 0}} {
		m := config.Mounts[i]
		if strings.HasPrefix(m.Source, dir) != (i < 3) || slices.Contains(m.Options, "idmap") || len(m.UIDMappings) > 0 {
			t.Errorf("%+v", m)
		}
		if got := owner(t, m.Source+want.file); got != want.owner {
			t.Errorf("%s: owner %d", m.Destination, got)
		}
	}
	if before[0].Source != from || !slices.Contains(before[0].Options, "idmap") {
		t.Errorf("the caller's has changed: %+v", before[0])
	}
	if err := os.WriteFile(config.Mounts[0].Source+"/new", nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("written to what is read-only: %v", err)
	}
	gone := &specs.Spec{Mounts: []specs.Mount{{Destination: "/gone", Source: "/nothing", Options: []string{"idmap"}}}}
	if err := reach.Attach(gone, dir, namespace(t)); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "/gone") {
		t.Errorf("got %v", err)
	}
}

func TestAttachDevices(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	dir, _ := own(t)
	ids := spec.SameIDs(spec.IDRange{Host: mappedRoot, Size: 100})
	devices := append(spec.DefaultDevices(), specs.LinuxDevice{Path: "/t/mine", Type: "c", Major: 1, Minor: 5})
	devices[3] = specs.LinuxDevice{Path: devices[3].Path, Type: "c", Major: 1, Minor: 7} // another one of that name
	linux := &specs.Linux{Devices: devices}
	config := &specs.Spec{Linux: linux}
	if err := reach.AttachDevices(config, dir, ids); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := reach.Detach(dir); err != nil {
			t.Error(err)
		}
	}()
	if len(config.Linux.Devices) != len(spec.DefaultDevices())-1 || len(config.Mounts) != 2 || len(linux.Devices) != len(devices) {
		t.Fatalf("%+v, %+v", config.Linux.Devices, config.Mounts)
	}
	for i, want := range []struct {
		path  string
		minor uint32
	}{{devices[3].Path, 7}, {"/t/mine", 5}} {
		m := config.Mounts[i]
		var st unix.Stat_t
		if err := unix.Stat(m.Source, &st); err != nil {
			t.Fatal(err)
		}
		if m.Destination != want.path || st.Mode != unix.S_IFCHR|0o666 || unix.Minor(st.Rdev) != want.minor || st.Uid != mappedRoot {
			t.Errorf("%+v: %+v", m, st)
		}
		if err := as(mappedRoot, "head", "-c1", m.Source); err == nil {
			t.Error("reached before the directory is open")
		}
	}
	none := &specs.Spec{Linux: &specs.Linux{Devices: spec.DefaultDevices()}}
	if err := reach.AttachDevices(none, "/nothing", ids); err != nil || len(none.Linux.Devices) != len(spec.DefaultDevices()) {
		t.Errorf("without any: %v", err)
	}
}
