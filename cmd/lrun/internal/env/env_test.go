package env

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/overlay"
	"github.com/lrun-dev/lrun/rootfs"
)

// newTestEnv returns surroundings in a fresh directory, on a machine where overlays are as s says, with the global
// flags args.
func newTestEnv(t *testing.T, s overlay.Support, args ...string) (*Env, *bytes.Buffer) {
	t.Helper()
	var out, stderr bytes.Buffer
	e := With(strings.NewReader(""), &out, &stderr)
	e.UID = func() int { return 0 }
	e.probe = func(dir, stateDir string) overlay.Support {
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("probed in a directory that is not there: %v", err)
		}
		return s
	}
	dir := t.TempDir()
	all := append([]string{"lrun", "--root", filepath.Join(dir, "root"), "--state", filepath.Join(dir, "state")}, args...)
	app := &cli.App{Flags: e.Flags(), Action: func(*cli.Context) error { return nil }}
	if err := app.Run(all); err != nil {
		t.Fatal(err)
	}
	return e, &stderr
}

func best() overlay.Support { return overlay.Support{OK: true, Method: mount.ByDescriptor} }

func TestDriver(t *testing.T) {
	older := overlay.Support{OK: true, Method: mount.ByPath, Reason: "by descriptor: invalid argument"}
	none := overlay.Support{Reason: "by number: operation not permitted"}
	const says = "lrun: overlayfs does not work here, so the vfs driver copies the whole image for each container: by number: operation not permitted\n"
	tests := []struct {
		name   string
		args   []string
		here   overlay.Support
		want   Driver
		notice string
	}{
		{"the best", nil, best(), Driver{Name: "overlayfs", Method: mount.ByDescriptor}, ""},
		{"an older way", nil, older, Driver{Name: "overlayfs", Method: mount.ByPath, Reason: older.Reason}, ""},
		{"no overlayfs", nil, none, Driver{Name: "vfs", Reason: none.Reason}, says},
		{"vfs on purpose", []string{"--driver=vfs"}, best(), Driver{Name: "vfs", Chosen: true}, ""},
		{"vfs on purpose where nothing else works", []string{"--driver=vfs"}, none, Driver{Name: "vfs", Chosen: true}, ""},
		{"overlayfs on purpose", []string{"--driver", "overlayfs"}, best(), Driver{Name: "overlayfs", Chosen: true, Method: mount.ByDescriptor}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, stderr := newTestEnv(t, tt.here, tt.args...)
			for range 2 { // said once, however often asked
				got, err := e.Driver()
				if err != nil || got != tt.want {
					t.Errorf("got %+v, %v", got, err)
				}
			}
			if stderr.String() != tt.notice {
				t.Errorf("said %q, want %q", stderr, tt.notice)
			}
		})
	}
}

// A full disk does not turn a store of overlayfs layers into one of copies; and a new store begins with neither.
func TestDriverOnAFullDisk(t *testing.T) {
	e, _ := newTestEnv(t, overlay.Support{Hindered: unix.ENOSPC})
	d, err := e.Driver()
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "whether overlayfs works in "+e.Root()+"/snapshots: put that right") {
		t.Errorf("got %+v, %v", d, err)
	}
	e, stderr := newTestEnv(t, overlay.Support{Hindered: unix.ENOSPC})
	if err := os.MkdirAll(filepath.Join(e.Root(), "snapshots", "overlayfs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(e.Root(), "format.json"), []byte(`{"format":"lrun","version":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	e.probeOnce = func(dir string) overlay.Support {
		return overlay.Support{OK: dir == e.State(), Method: mount.ByPath}
	}
	want := Driver{Name: "overlayfs", Method: mount.ByPath}
	if d, err := e.Driver(); err != nil || d != want || stderr.Len() > 0 {
		t.Errorf("got %+v, %v, said %q", d, err, stderr)
	}
}

func TestDriverOfTheEnvironment(t *testing.T) {
	t.Setenv("LRUN_DRIVER", "vfs")
	e, _ := newTestEnv(t, best())
	if d, err := e.Driver(); err != nil || d.Name != "vfs" {
		t.Errorf("got %+v, %v", d, err)
	}
	e, _ = newTestEnv(t, best(), "--driver", "overlayfs")
	if d, err := e.Driver(); err != nil || d.Name != "overlayfs" {
		t.Errorf("the flag comes first: got %+v, %v", d, err)
	}
}

func TestDriverRefuses(t *testing.T) {
	tests := []struct{ driver, want string }{
		{"overlay2", "driver overlay2 is not supported: it is called overlayfs here"},
		{"aufs", "driver aufs is not supported: it is in no kernel any more; use overlayfs"},
		{"devicemapper", "driver devicemapper is not supported: it is given up everywhere; use overlayfs on any file system"},
		{"zfs", "driver zfs is not supported: use overlayfs on a zfs data set (zfs 2.2), or vfs"},
		{"fuse-overlayfs", "driver fuse-overlayfs is not supported: use overlayfs, the kernel's own"},
	}
	for _, tt := range tests {
		e, _ := newTestEnv(t, best(), "--driver", tt.driver)
		if _, err := e.Driver(); !errdefs.IsNotImplemented(err) || err.Error() != tt.want {
			t.Errorf("%s: got %v", tt.driver, err)
		}
	}
	e, _ := newTestEnv(t, best(), "--driver", "nope")
	if _, err := e.Driver(); !errdefs.IsInvalidArgument(err) || err.Error() != `there is no driver "nope": use overlayfs, btrfs or vfs` {
		t.Errorf("got %v", err)
	}
	if _, err := e.Images(); !errdefs.IsInvalidArgument(err) {
		t.Errorf("who needs no driver ignores it: got %v", err)
	}
	if _, err := os.Lstat(e.Root()); !errors.Is(err, os.ErrNotExist) {
		t.Error("the root was made")
	}
	e, _ = newTestEnv(t, best(), "--driver", "btrfs", "--root", "/dev/shm/lrun-env-"+filepath.Base(t.TempDir()))
	defer os.RemoveAll(e.Root())
	if _, err := e.Driver(); !errdefs.IsNotImplemented(err) || !strings.Contains(err.Error(), "is not on btrfs; name a directory there with --root") {
		t.Errorf("got %v", err)
	}
	e, _ = newTestEnv(t, overlay.Support{Reason: "why"}, "--driver", "overlayfs")
	if _, err := e.Driver(); !errdefs.IsNotImplemented(err) || !strings.Contains(err.Error(), "(why)") {
		t.Errorf("got %v", err)
	}
}

func TestStoresAreOpenedOnceAndLate(t *testing.T) {
	e, _ := newTestEnv(t, best(), "--driver=vfs")
	if _, err := os.Lstat(e.Root()); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("the root is there before anybody asked")
	}
	if len(e.Flags()) == 0 || e.Log() == nil {
		t.Fatal("no flags")
	}
	images, err := e.Images()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(e.Root(), "snapshots")); !errors.Is(err, os.ErrNotExist) {
		t.Error("to ask for images is not to ask for snapshots")
	}
	roots, err := e.Rootfs()
	if err != nil {
		t.Fatal(err)
	}
	again, err := e.Images()
	if err != nil || again != images || roots.Images != images {
		t.Errorf("the images are opened twice (%v)", err)
	}
	if snapshots, err := e.Snapshots(); err != nil || snapshots != roots.Snapshots {
		t.Errorf("the snapshots are opened twice (%v)", err)
	}
	info, err := os.Stat(e.Root())
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the root has mode %v, %v", info.Mode(), err)
	}
}

func TestRootfsOfAnotherDriver(t *testing.T) {
	e, _ := newTestEnv(t, best(), "--driver=vfs")
	own, err := e.Rootfs()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := e.RootfsOf("vfs"); err != nil || got != own {
		t.Errorf("got %v, %v", got, err)
	}
	var found []*rootfs.Store
	each := func(s *rootfs.Store) error {
		found = append(found, s)
		return nil
	}
	if err := e.EachRootfs(each); err != nil || len(found) != 1 {
		t.Errorf("got %d stores, %v", len(found), err)
	}
	if _, err := e.RootfsOf("overlayfs"); err != nil {
		t.Error(err)
	}
	found = nil
	if err := e.EachRootfs(each); err != nil || len(found) != 2 {
		t.Errorf("got %d stores, %v", len(found), err)
	}
	failure := errors.New("no")
	if err := e.EachRootfs(func(*rootfs.Store) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

func TestPrivileged(t *testing.T) {
	e, _ := newTestEnv(t, best())
	e.UID = func() int { return 1000 }
	for name, open := range map[string]func() error{
		"images":    func() error { _, err := e.Images(); return err },
		"blobs":     func() error { _, err := e.Blobs(); return err },
		"driver":    func() error { _, err := e.Driver(); return err },
		"snapshots": func() error { _, err := e.Snapshots(); return err },
		"rootfs":    func() error { _, err := e.Rootfs(); return err },
		"each":      func() error { return e.EachRootfs(nil) },
		"of":        func() error { _, err := e.RootfsOf("vfs"); return err },
	} {
		if err := open(); !errdefs.IsPermissionDenied(err) || err.Error() != "lrun needs root for this: run it with sudo" {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := os.Lstat(e.Root()); !errors.Is(err, os.ErrNotExist) {
		t.Error("the root was made")
	}
}

func TestForeignDirectoryIsNoRoot(t *testing.T) {
	e, _ := newTestEnv(t, best())
	if err := os.MkdirAll(e.Root(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(e.Root(), "thesis.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Images(); !errdefs.IsInvalidArgument(err) {
		t.Errorf("got %v", err)
	}
}

func TestPathsAreAbsolute(t *testing.T) {
	e, _ := newTestEnv(t, best(), "--root", "some/../root", "--state", "state/")
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if e.Root() != filepath.Join(dir, "root") || e.State() != filepath.Join(dir, "state") {
		t.Errorf("got %s and %s", e.Root(), e.State())
	}
}

// parsed reads a command line.
func parsed(args ...string) (*Env, error) {
	e := With(strings.NewReader(""), io.Discard, io.Discard)
	app := &cli.App{Flags: e.Flags(), Writer: io.Discard, Action: func(*cli.Context) error { return nil }}
	return e, app.Run(append([]string{"lrun"}, args...))
}

func TestEmptyVariablesAreTheDefaults(t *testing.T) {
	t.Setenv("LRUN_ROOT", "")
	t.Setenv("LRUN_STATE", "")
	e, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	if e.Root() != DefaultRoot || e.State() != DefaultState {
		t.Errorf("got %s and %s", e.Root(), e.State())
	}
}

func TestEmptyPathsAreRefused(t *testing.T) {
	for _, inherited := range []string{"", "/elsewhere"} {
		for _, name := range []string{"root", "state"} {
			t.Setenv("LRUN_ROOT", inherited)
			t.Setenv("LRUN_STATE", inherited)
			if inherited == "" {
				os.Unsetenv("LRUN_ROOT")
				os.Unsetenv("LRUN_STATE")
			}
			if _, err := parsed("--"+name, ""); !errdefs.IsInvalidArgument(err) {
				t.Errorf("--%s beside %q: got %v", name, inherited, err)
			}
		}
	}
}

func TestOutputKnowsAClosedPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	out := Output(w)
	if _, err := out.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if _, err := out.Write([]byte("x")); !errors.Is(err, ErrOutClosed) {
		t.Errorf("got %v", err)
	}
	if _, err := io.WriteString(out, "x"); !errors.Is(err, ErrOutClosed) {
		t.Errorf("got %v", err)
	}
	if _, err := io.Copy(out, strings.NewReader("x")); !errors.Is(err, ErrOutClosed) {
		t.Errorf("got %v", err)
	}
	if _, ok := Terminal(out); ok {
		t.Error("a pipe is no terminal")
	}
	if _, ok := Terminal(&bytes.Buffer{}); ok {
		t.Error("a buffer is no terminal")
	}
}

func TestTerminal(t *testing.T) {
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		testutil.Missing(t, err)
	}
	defer f.Close()
	if fd, ok := Terminal(f); !ok || fd != int(f.Fd()) {
		t.Errorf("got %d, %v", fd, ok)
	}
	if _, ok := Terminal(Output(f)); !ok {
		t.Error("wrapped, it is still a terminal")
	}
}

func TestLogAndNotice(t *testing.T) {
	e, stderr := newTestEnv(t, best())
	e.Log().Debug("hidden")
	e.Notice("%s is\x1b[31m red", "it")
	if stderr.String() != "lrun: it is\\x1b[31m red\n" {
		t.Errorf("got %q", stderr)
	}
	e, stderr = newTestEnv(t, best(), "-D")
	e.Log().Debug("shown", "why", "debug")
	if !strings.Contains(stderr.String(), `msg=shown why=debug`) || !e.Debug() {
		t.Errorf("got %q", stderr)
	}
}
