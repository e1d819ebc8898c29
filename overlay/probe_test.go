package overlay

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/mount"
)

func TestProbe(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	dir := filepath.Join(t.TempDir(), `odd:,\ name`)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, method := range methods(t) {
		if err := try(dir, method); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
	best := methods(t)[0]
	s := Probe(dir)
	if s.Method != best || !s.OK || (s.Reason == "") != (best == mount.ByDescriptor) {
		t.Errorf("got %+v", s)
	}
	for method := range best {
		if !strings.Contains(s.Reason, method.String()+": ") {
			t.Errorf("%q does not tell of %q", s.Reason, method)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Trap 17: where overlays do not work, the answer says why, for each way that was tried.
func TestProbeReason(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	s := newStack(t, "a")
	merged := s.mount(t, Options{Volatile: true, Method: methods(t)[0]}, "a")
	defer s.unmount(t)
	tests := []struct{ name, dir, says string }{
		{"upperdir on overlayfs", merged, ""}, // one level is allowed as lowerdir, an upperdir needs more
		{"no such directory", "/nowhere", "no such file"},
		{"a filesystem that holds no files", "/proc", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Probe(tt.dir)
			if got.OK || strings.Contains(got.Reason, "\n") || !strings.Contains(got.Reason, tt.says) {
				t.Errorf("got %+v", got)
			}
			if _, err := os.Lstat("/nowhere"); err == nil {
				t.Fatal("/nowhere was made")
			}
			for method := mount.ByDescriptor; tt.dir != "/nowhere" && method <= mount.ByNumber; method++ {
				if !strings.Contains(got.Reason, method.String()+": ") {
					t.Errorf("%q does not tell of %q", got.Reason, method)
				}
			}
		})
	}
}

// A disk that is full or read-only says nothing of what the kernel can do, and must not become a reason to copy.
func TestProbeHindered(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	full, readOnly := t.TempDir(), t.TempDir()
	for dir, m := range map[string]mount.Mount{
		full:     {Type: "tmpfs", Source: "none", Options: []mount.Option{{Key: "size", Value: "64k"}}},
		readOnly: {Type: "bind", Source: readOnly, ReadOnly: true},
	} {
		if err := m.At(dir); err != nil {
			t.Fatal(err)
		}
		defer mount.Unmount(dir)
	}
	if err := os.WriteFile(full+"/all", make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	for dir, want := range map[string]error{full: unix.ENOSPC, readOnly: unix.EROFS} {
		for _, got := range []Support{Probe(dir), CachedProbe(dir, t.TempDir())} {
			if got.OK || got.Reason != "" || !errors.Is(got.Hindered, want) {
				t.Errorf("got %+v, want %v", got, want)
			}
		}
	}
}

func FuzzParseProbed(f *testing.F) {
	f.Add("boot 6.1.0\n7:0 2 by descriptor: no\n253:1 0 \n")
	f.Add("\n\n7:0 9 \n7:0")
	f.Fuzz(func(t *testing.T, text string) {
		p := parseProbed(text)
		if again := parseProbed(string(p.text())); again.boot != p.boot || again.kernel != p.kernel || !maps.Equal(again.devices, p.devices) {
			t.Errorf("%+v becomes %+v", p, again)
		}
	})
}

func TestCachedProbe(t *testing.T) {
	testutil.RequireRoot(t)
	dir, state := t.TempDir(), t.TempDir()
	path := filepath.Join(state, cacheFile)
	now, device, err := here(dir)
	if err != nil {
		t.Fatal(err)
	}
	planted := Support{Method: mount.ByNumber, OK: true, Reason: "planted"}
	fresh := Probe(dir)
	tests := []struct {
		name   string
		change func(p *probed)
		want   Support
	}{
		{"the same", func(*probed) {}, planted},
		{"another boot", func(p *probed) { p.boot = "other" }, fresh},
		{"another kernel", func(p *probed) { p.kernel = "other" }, fresh},
		{"another filesystem", func(p *probed) { p.devices = map[string]Support{"0:0": planted} }, fresh},
		{"an unknown method", func(p *probed) { p.devices[device] = Support{OK: true, Method: 3, Reason: "planted"} }, fresh},
		{"nothing", func(p *probed) { p.devices = nil }, fresh},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := now
			p.devices = map[string]Support{device: planted}
			tt.change(&p)
			write(t, path, string(p.text()))
			for range 2 {
				if got := CachedProbe(dir, state); got != tt.want {
					t.Errorf("got %+v, want %+v", got, tt.want)
				}
			}
		})
	}
	for name, content := range map[string]string{"empty": "", "corrupt": "{", "cut": string(now.text()) + device} {
		t.Run(name, func(t *testing.T) {
			write(t, path, content)
			if got := CachedProbe(dir, state); got != fresh {
				t.Errorf("got %+v", got)
			}
		})
	}
	t.Run("two filesystems", func(t *testing.T) {
		other := t.TempDir()
		if err := (mount.Mount{Type: "tmpfs", Source: "tmpfs"}).At(other); err != nil {
			t.Fatal(err)
		}
		defer mount.Unmount(other)
		for _, d := range []string{dir, other} {
			if got := CachedProbe(d, state); !got.OK {
				t.Errorf("got %+v", got)
			}
		}
		if b, err := os.ReadFile(path); err != nil || len(parseProbed(string(b)).devices) != 2 {
			t.Errorf("kept %s, %v", b, err)
		}
	})
	t.Run("no place for the cache", func(t *testing.T) {
		if got := CachedProbe(dir, "/nowhere"); got != fresh {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("no such directory", func(t *testing.T) {
		if got := CachedProbe("/nowhere", state); got.OK || got.Hindered == nil || !strings.Contains(got.Hindered.Error(), "/nowhere") {
			t.Errorf("got %+v", got)
		}
	})
}

// A probe that is killed leaves a directory, or a cache half written. The next probe removes them, but not those of a
// probe that is at work.
func TestProbeRemovesWhatKilledOnesLeft(t *testing.T) {
	testutil.RequireRoot(t)
	dir, state := t.TempDir(), t.TempDir()
	for _, d := range []string{dir + "/.overlay-probe-123/upper", dir + "/kept", state + "/kept"} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, state+"/.tmp-123", "{")
	if s := CachedProbe(dir, state); !s.OK {
		t.Fatalf("got %+v", s)
	}
	for d, want := range map[string]string{dir: "kept", state: "kept overlay"} {
		entries, err := os.ReadDir(d)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("%s holds %q, %v; want %q", d, got, err, want)
		}
	}
	// Many at once in one place: each finds that it works.
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if s := Probe(dir); !s.OK {
				t.Errorf("beside others: %+v", s)
			}
		})
	}
	all.Wait()
}

func TestOneLine(t *testing.T) {
	err := errors.Join(&mount.Error{Op: `open lowerdir+ "/a b"`, Data: "lowerdir=/a b", Err: unix.EPERM})
	if got := oneLine(err); got != "open lowerdir+: operation not permitted" {
		t.Errorf("got %q", got)
	}
	if got := oneLine(errors.Join(unix.EPERM, unix.EIO)); strings.Contains(got, "\n") {
		t.Errorf("got %q", got)
	}
}
