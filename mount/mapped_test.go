package mount

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

const mappedRoot = 1_900_000_000

// owners is a user namespace of 100 ids whose root is mappedRoot.
func owners(t *testing.T) Owners {
	t.Helper()
	c := exec.Command("sleep", "1000")
	ids := []syscall.SysProcIDMap{{HostID: mappedRoot, Size: 100}}
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, UidMappings: ids, GidMappings: ids, Pdeathsig: unix.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	o, err := OwnersOf(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	o.UID, o.GID = mappedRoot, mappedRoot
	return *o
}

func ownerOf(t *testing.T, path string) int {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return int(st.Uid)
}

// attachMapped is attach of a mapped mount.
func attachMapped(t *testing.T, m Mount, o Owners) string {
	t.Helper()
	f, err := m.OpenMapped(o)
	return attachOpened(t, f, err)
}

// attachOpened attaches what an Open has returned for as long as the test.
func attachOpened(t *testing.T, f *os.File, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	target := t.TempDir()
	if err := Attach(f, target); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Unmount(target) })
	return target
}

// asRoot runs fn as the mapped root, with its effective ids on a thread of its own.
func asRoot(t *testing.T, fn func() error) {
	t.Helper()
	var err error
	onOwnThread(func() {
		if err = become(mappedRoot, mappedRoot); err == nil {
			err = fn()
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestMappedOverlay(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	for _, method := range methods(t) {
		for _, n := range []int{1, 11, 120, 500} {
			t.Run(fmt.Sprintf("%s, %d lowers", method, n), func(t *testing.T) {
				m, upper := stack(t, n)
				m.Method = method
				target := attachMapped(t, m, owners(t))
				for i := range n {
					name := fmt.Sprintf("only-%d", i)
					if got := read(t, target+"/"+name); got != fmt.Sprint("layer ", i) {
						t.Fatalf("layer %d is %q", i, got)
					}
				}
				if got := ownerOf(t, target+"/only-0"); got != mappedRoot {
					t.Errorf("root's file is %d's", got)
				}
				asRoot(t, func() error {
					// Made, copied up and removed: each needs the workdir or a whiteout.
					return errors.Join(os.WriteFile(target+"/new", nil, 0o600), os.Chmod(target+"/only-0", 0o600), os.Mkdir(target+"/dir", 0o700), os.Remove(target+"/who"))
				})
				for _, name := range []string{"new", "only-0", "dir", "who"} {
					if got := ownerOf(t, upper+"/"+name); got != 0 {
						t.Errorf("on disk %s is %d's", name, got)
					}
				}
			})
		}
	}
}

// The thread that mounts is another user; no other thread may become so.
func TestMappedOverlayLeavesTheProcessAlone(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	m, _ := stack(t, 2)
	attachMapped(t, m, owners(t))
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(tasks) == 0 {
		t.Fatal(err)
	}
	for range 50 {
		onOwnThread(func() {
			if unix.Geteuid() != 0 || unix.Getegid() != 0 {
				t.Error("a thread is another user")
			}
		})
	}
}

func TestMappedBind(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	o := owners(t)
	f, err := Mount{Type: "bind", Source: file, Options: []Option{{Key: "rbind"}}}.OpenMapped(o)
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := errors.Join(unix.Fstat(int(f.Fd()), &st), f.Close()); err != nil || st.Uid != mappedRoot || st.Gid != mappedRoot {
		t.Errorf("the file is %d:%d's, %v", st.Uid, st.Gid, err)
	}
	target := attachMapped(t, Mount{Type: "bind", Source: dir}, o)
	asRoot(t, func() error { return os.WriteFile(target+"/new", nil, 0o600) })
	if got := ownerOf(t, dir+"/new"); got != 0 {
		t.Errorf("on disk the file is %d's", got)
	}
	if err := os.Chown(dir+"/new", 100, 100); err != nil {
		t.Fatal(err)
	}
	if got := ownerOf(t, target+"/new"); got != 65534 {
		t.Errorf("the file of somebody who is not mapped is %d's", got)
	}
	_, err = Mount{Type: "bind", Source: "/proc"}.OpenMapped(o)
	if !errors.Is(err, errdefs.ErrNotImplemented) {
		t.Errorf("a file system that cannot be mapped: %v", err)
	}
}

// As plain root the mount would come up read-only.
func TestMappedOverlayNeedsItsOwner(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	m, _ := stack(t, 2)
	o := owners(t)
	o.UID, o.GID = 0, 0
	f, err := m.OpenMapped(o)
	if !errors.Is(err, unix.EROFS) {
		t.Errorf("got %v, %v", f, err)
	}
}

func TestCommonDir(t *testing.T) {
	for _, c := range []struct {
		want string
		dirs []string
	}{
		{"/d", []string{"/d/1/fs", "/d/2/fs"}},
		{"/d/1", []string{"/d/1/fs", "/d/1/work"}},
		{"/d", []string{"/d/1/2/3/fs", "/d/12/fs", "/d/1/fs"}},
		{"/d", []string{"/d/x", "/d/1/fs"}},
		{"/d", []string{"/d/1/fs", "/d/x"}},
		{"/", []string{"/d/1/fs", "/e/fs"}},
		{"/", []string{"/d"}},
		{"/", []string{"d/1/fs", "d/2/fs"}},
		{"/", []string{"/d/1/fs", "d/2/fs"}},
	} {
		if got := commonDir([]Option{{Key: "lowerdir", Dirs: c.dirs[:1]}, {Key: "index", Value: "off"}, {Key: "upperdir", Dirs: c.dirs[1:]}}); got != c.want {
			t.Errorf("%q: got %s, want %s", c.dirs, got, c.want)
		}
	}
}
