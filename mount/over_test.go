package mount

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// home is a tmpfs that is laid over the new directory where, with the directories names in it.
func home(t *testing.T, names ...string) (over *Over, where string, count *int) {
	t.Helper()
	where, count = filepath.Join(t.TempDir(), "over:,"), new(int)
	mkdir(t, where)
	fs := attach(t, Mount{Type: "tmpfs", Source: "tmpfs"})
	for _, name := range names {
		mkdir(t, filepath.Join(fs, name))
	}
	return &Over{Target: where, Open: func() (*os.File, error) {
		*count++
		return Mount{Type: "bind", Source: fs}.Open()
	}}, where, count
}

// under is an overlay of one lower whose upperdir and workdir are in what over lays over the directory where.
func under(t *testing.T, method Method, over *Over, where string) Mount {
	t.Helper()
	m, _ := stack(t, 1)
	m.Method, m.Over = method, over
	for i, o := range m.Options {
		if o.Key == "upperdir" || o.Key == "workdir" {
			m.Options[i].Dirs = []string{filepath.Join(where, o.Key[:len(o.Key)-3])}
		}
	}
	return m
}

// overs are the mounts that something is laid under.
func overs(t *testing.T) map[string]func(t *testing.T, over *Over, where string) Mount {
	t.Helper()
	all := map[string]func(t *testing.T, over *Over, where string) Mount{"bind": func(_ *testing.T, over *Over, where string) Mount {
		return Mount{Type: "bind", Source: filepath.Join(where, "upper"), Over: over}
	}}
	for _, method := range methods(t) {
		all["overlay "+method.String()] = func(t *testing.T, over *Over, where string) Mount { return under(t, method, over, where) }
	}
	return all
}

// What is laid over a directory takes what the mount writes, and is in no list of mounts.
func TestOver(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	for name, mountOf := range overs(t) {
		t.Run(name, func(t *testing.T) {
			over, where, opened := home(t, "upper", "work")
			target := attach(t, mountOf(t, over, where))
			if err := os.WriteFile(target+"/new", []byte(name), 0o600); err != nil {
				t.Fatal(err)
			}
			if left, err := os.ReadDir(where); err != nil || len(left) > 0 || *opened != 1 {
				t.Errorf("below: %v, %v; opened %d times", left, err, *opened)
			}
			if info := read(t, "/proc/self/mountinfo"); strings.Contains(info, where+" ") {
				t.Error("the host has the mount")
			}
			again := attach(t, Mount{Type: "bind", Source: filepath.Join(where, "upper"), Over: over, ReadOnly: true})
			if got := read(t, again+"/new"); got != name {
				t.Errorf("read %q", got)
			}
			if err := os.WriteFile(again+"/new", nil, 0o600); !errors.Is(err, unix.EROFS) {
				t.Errorf("read-only: %v", err)
			}
		})
	}
}

// Its owners are translated too.
func TestOverMapped(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	if !testutil.Kernel(t, 6, 3) {
		return // tmpfs cannot be mapped; integration/testdata/run-disk.txtar has ext4
	}
	for name, mountOf := range overs(t) {
		t.Run(name, func(t *testing.T) {
			over, where, _ := home(t, "upper", "work")
			target := attachMapped(t, mountOf(t, over, where), owners(t))
			if err := os.Chown(target, mappedRoot, mappedRoot); err != nil {
				t.Fatal(err)
			}
			asRoot(t, func() error { return os.WriteFile(target+"/new", nil, 0o600) })
			again := attach(t, Mount{Type: "bind", Source: filepath.Join(where, "upper"), Over: over})
			if got := ownerOf(t, again+"/new"); got != 0 {
				t.Errorf("on disk it is %d's", got)
			}
		})
	}
}

func TestOverThatFails(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	over, where, _ := home(t, "upper", "work")
	broken := &Over{Target: where, Open: func() (*os.File, error) { return nil, unix.EIO }}
	for name, m := range map[string]Mount{"overlay": under(t, methods(t)[0], broken, where), "bind": {Type: "bind", Source: where, Over: broken}} {
		if f, err := m.Open(); !errors.Is(err, unix.EIO) {
			t.Errorf("%s: %v, %v", name, f, err)
		}
		if f, err := m.OpenMapped(owners(t)); !errors.Is(err, unix.EIO) {
			t.Errorf("%s, mapped: %v, %v", name, f, err)
		}
	}
	nowhere := Mount{Type: "bind", Source: where, Over: &Over{Target: where + "/none", Open: over.Open}}
	if f, err := nowhere.Open(); !errors.Is(err, unix.ENOENT) {
		t.Errorf("no directory: %v, %v", f, err)
	}
}
