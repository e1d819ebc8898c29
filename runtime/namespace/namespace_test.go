package namespace

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"testing"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

func TestEnter(t *testing.T) {
	for name, c := range map[string]struct {
		list []specs.LinuxNamespace
		want uintptr
		err  error
	}{
		"new ones":          {[]specs.LinuxNamespace{{Type: "mount"}, {Type: "pid"}, {Type: "uts"}}, unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS, nil},
		"cgroup comes last": {[]specs.LinuxNamespace{{Type: "cgroup"}}, 0, nil},
		"IPC comes late":    {[]specs.LinuxNamespace{{Type: "user"}, {Type: "ipc"}, {Type: "pid"}}, unix.CLONE_NEWUSER | unix.CLONE_NEWPID, nil},
		"a user's by path":  {[]specs.LinuxNamespace{{Type: "user", Path: "/proc/self/ns/user"}}, 0, errdefs.ErrNotImplemented},
		"unknown":           {[]specs.LinuxNamespace{{Type: "x"}}, 0, errdefs.ErrNotImplemented},
		"another's mounts":  {[]specs.LinuxNamespace{{Type: "mount", Path: "/proc/self/ns/mnt"}}, 0, errdefs.ErrNotImplemented},
		"another's cgroups": {[]specs.LinuxNamespace{{Type: "cgroup", Path: "/proc/self/ns/cgroup"}}, 0, errdefs.ErrNotImplemented},
		"not there":         {[]specs.LinuxNamespace{{Type: "ipc", Path: "/proc/self/ns/nothing"}}, 0, fs.ErrNotExist},
	} {
		got, err := Enter(c.list)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: got %#x, %v; want %#x, %v", name, got, err, c.want, c.err)
		}
	}
}

// A file of another type must not be joined in its place.
func TestEnterJoins(t *testing.T) {
	testutil.RequireRoot(t)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and ends so
		if _, err := Enter([]specs.LinuxNamespace{{Type: "uts", Path: "/proc/self/ns/ipc"}}); !errors.Is(err, unix.EINVAL) {
			done <- errors.New("a namespace of another type was joined")
			return
		}
		if err := unix.Unshare(unix.CLONE_NEWUTS); err != nil {
			done <- err
			return
		}
		flags, err := Enter([]specs.LinuxNamespace{{Type: "uts", Path: "/proc/self/ns/uts"}})
		own, _ := os.Readlink("/proc/thread-self/ns/uts")
		of, _ := os.Readlink("/proc/self/ns/uts")
		if err == nil && (flags != 0 || own != of) {
			err = errors.New("the thread is in " + own + ", not in " + of)
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
