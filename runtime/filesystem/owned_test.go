package filesystem_test

import (
	"os"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/runtime/filesystem"
	"github.com/lrun-dev/lrun/runtime/spec"
)

func owner(t *testing.T, fs *os.File, name string) [2]uint32 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(inside(fs, name), &st); err != nil {
		t.Fatal(err)
	}
	return [2]uint32{st.Uid, st.Gid}
}

func TestOwnersOfAContainer(t *testing.T) {
	testutil.RequireRoot(t)
	ids := spec.SameIDs(spec.IDRange{Host: 7000, Size: 10})
	for options, want := range map[string][2]uint32{"mode=700": {7000, 7000}} {
		fs, err := filesystem.OpenFor(ids, "tmpfs", []string{options}, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer fs.Close()
		if got := owner(t, fs, "."); got != want {
			t.Errorf("%s: got %v", options, got)
		}
		known, unknown := uint32(3), uint32(50)
		devices := []specs.LinuxDevice{
			{Path: "/dev/null", Type: "c", Major: 1, Minor: 3},
			{Path: "/dev/sub/known", Type: "c", Major: 1, Minor: 5, UID: &known, GID: &known},
			{Path: "/dev/unknown", Type: "c", Major: 1, Minor: 5, UID: &unknown, GID: &known},
		}
		if err := filesystem.FillDev(fs, devices, ids, true); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string][2]uint32{
			"null": {7000, 7000}, "sub": {7000, 7000}, "sub/known": {7003, 7003}, "unknown": {7000, 7003}, "shm": {7000, 7000}, "ptmx": {7000, 7000},
		} {
			if got := owner(t, fs, name); got != want {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
	}
}

func TestTerminalOfAContainer(t *testing.T) {
	testutil.RequireRoot(t)
	for want, ids := range map[[2]uint32]spec.UserNamespace{
		{0, 5}:    {},
		{0, 7005}: spec.SameIDs(spec.IDRange{Host: 7000, Size: 10}),
		{0, 0}:    spec.SameIDs(spec.IDRange{Host: 7000, Size: 3}), // without a group tty
	} {
		devpts, err := filesystem.OpenFor(ids, "devpts", []string{"newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer devpts.Close()
		host, container, err := filesystem.OpenTerminal(devpts, &unix.Winsize{Row: 7, Col: 8})
		if err != nil {
			t.Fatal(err)
		}
		defer host.Close()
		defer container.Close()
		if got := owner(t, devpts, "0"); got != want {
			t.Errorf("%v: the terminal is %v's", ids, got)
		}
		uid, gid := ids.Root()
		if got := owner(t, devpts, "ptmx"); int(got[0]) != uid || int(got[1]) != gid {
			t.Errorf("%v: ptmx is %v's", ids, got)
		}
		if size, err := unix.IoctlGetWinsize(int(container.Fd()), unix.TIOCGWINSZ); err != nil || size.Row != 7 || size.Col != 8 {
			t.Errorf("got %v, %v", size, err)
		}
	}
}
