package delegate

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

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// The kernel hands nothing down where processes are; MakeRoom moves them, and then it does.
func TestMakeRoom(t *testing.T) {
	testutil.RequireRoot(t)
	root := "/sys/fs/cgroup"
	if _, err := os.Stat(root + "/cgroup.controllers"); errors.Is(err, os.ErrNotExist) {
		root += "/unified"
	}
	have := strings.Fields(read(t, root+"/cgroup.controllers"))
	i := slices.IndexFunc(have, func(c string) bool { return c == "memory" || c == "hugetlb" || c == "io" })
	if i < 0 {
		t.Fatalf("cgroup version 2 has %q: no controller that is refused beside processes", have)
	}
	controller := have[i]
	if err := write(root+"/cgroup.subtree_control", "+"+controller); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, fmt.Sprintf("lrun-toptest-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(unix.Rmdir(filepath.Join(dir, initGroup)), unix.Rmdir(dir)); err != nil {
			t.Error(err)
		}
	})
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	sleep := exec.Command("sleep", "1000")
	sleep.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd, Pdeathsig: syscall.SIGKILL}
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // before the group can go
		_ = sleep.Process.Kill()
		_ = sleep.Wait() // it was killed
	})
	if err := write(dir+"/cgroup.subtree_control", "+"+controller); !errors.Is(err, unix.EBUSY) {
		t.Fatalf("the kernel hands %s down beside a process: %v", controller, err)
	}
	for range 2 { // the second time there is nothing to do
		if err := MakeRoom(dir, []string{"no-such-controller", controller}); err != nil {
			t.Fatal(err)
		}
		if got := read(t, dir+"/cgroup.subtree_control"); got != controller {
			t.Errorf("handed down is %q, want %q", got, controller)
		}
		if got, want := read(t, filepath.Join(dir, initGroup, "cgroup.procs")), fmt.Sprint(sleep.Process.Pid); got != want {
			t.Errorf("in the group aside are %q, want %q", got, want)
		}
	}
}

func TestHandedDown(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]string{"cgroup.subtree_control": "memory pids\n", "a/cgroup.subtree_control": "\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for group, want := range map[string][]string{"/": {"memory", "pids"}, "/a": nil, "/none": nil} {
		if got, err := HandedDown(dir, group); !slices.Equal(got, want) || err != nil {
			t.Errorf("%s: %q, %v; want %q", group, got, err, want)
		}
	}
	if _, err := HandedDown(dir, "/a/cgroup.subtree_control"); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("a file instead of a group: %v", err)
	}
}
