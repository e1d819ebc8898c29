package mount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// mountedTmpfs mounts a private tmpfs on dir, for as long as the test.
func mountedTmpfs(t *testing.T, dir string) {
	t.Helper()
	if err := (Mount{Type: "tmpfs", Source: "tmpfs"}).At(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Unmount(dir) })
	if err := unix.Mount("", dir, "", unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
}

// threadsElsewhere are those of this process that are in another mount namespace than ns.
func threadsElsewhere(t *testing.T, ns string) (list []string) {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if its, err := os.Readlink("/proc/self/task/" + task.Name() + "/ns/mnt"); err == nil && its != ns {
			list = append(list, task.Name())
		}
	}
	return list
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestOpenIn(t *testing.T) {
	testutil.RequireRoot(t)
	dir := t.TempDir()
	mountedTmpfs(t, dir)
	for _, name := range []string{"/plain", "/above/below", "/over"} {
		mkdir(t, dir+name)
	}
	write(t, dir+"/plain/file", "x")
	mountedTmpfs(t, dir+"/above/below")
	o := owners(t)
	mountedTmpfs(t, dir+"/over") // which the other namespace does not see

	for name, c := range map[string]struct {
		recursive bool
		want      error
	}{
		"plain": {false, nil}, "plain/file": {false, nil}, "above": {true, nil},
		"./above": {false, errdefs.ErrInvalidArgument}, "over": {true, errdefs.ErrFailedPrecondition}, "none": {true, os.ErrNotExist},
	} {
		m := Mount{Type: "bind", Source: filepath.Join(dir, name)}
		if c.recursive {
			m.Options = []Option{{Key: "rbind"}}
		}
		f, err := m.OpenIn(o.Mounts)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || (f == nil) != (err != nil) {
			t.Errorf("%s: got %v, %v; want %v", name, f, err, c.want)
		}
		if err == nil {
			f.Close()
		}
	}

	// By a descriptor of this process, as for the part of a volume.
	part, err := os.Open(dir + "/plain")
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	f, err := Mount{Type: "bind", Source: fmt.Sprintf("/proc/self/fd/%d", part.Fd())}.OpenIn(o.Mounts)
	target := attachOpened(t, f, err)
	if b, err := os.ReadFile(target + "/file"); err != nil || string(b) != "x" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestOpenFile(t *testing.T) {
	testutil.RequireRoot(t)
	for _, name := range []string{"file", "none"} {
		fs, err := Mount{Type: "tmpfs", Source: "tmpfs"}.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer fs.Close()
		fd, err := unix.Openat(int(fs.Fd()), "file", unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o640)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
		f, err := OpenFile(fs, name)
		if name == "none" {
			if !errors.Is(err, os.ErrNotExist) || f != nil {
				t.Errorf("got %v, %v", f, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		target := filepath.Join(t.TempDir(), "target")
		write(t, target, "")
		if err := Attach(f, target); err != nil {
			t.Fatal(err)
		}
		defer Unmount(target)
		if info, err := os.Stat(target); err != nil || info.Mode() != 0o640 {
			t.Errorf("got %v, %v", info, err)
		}
	}
}
