package overlay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/mount"
)

func TestMount(t *testing.T) {
	off := []mount.Option{
		{Key: "redirect_dir", Value: "off"},
		{Key: "metacopy", Value: "off"},
		{Key: "index", Value: "off"},
		{Key: "nfs_export", Value: "off"},
		{Key: "xino", Value: "off"},
	}
	lowers := func(dirs ...string) mount.Option { return mount.Option{Key: "lowerdir", Dirs: dirs} }
	upper := []mount.Option{{Key: "upperdir", Dirs: []string{"u"}}, {Key: "workdir", Dirs: []string{"w"}}}
	tests := []struct {
		name        string
		lowers      []string
		upper, work string
		o           Options
		want        mount.Mount
		err         error
	}{
		{
			name: "layers and an upperdir", lowers: []string{"b", "a"}, upper: "u", work: "w", o: Options{Method: mount.ByPath},
			want: mount.Mount{Type: "overlay", Source: "overlay", Method: mount.ByPath, Options: slices.Concat([]mount.Option{lowers("b", "a")}, upper, off)},
		},
		{
			name: "volatile", lowers: []string{"a"}, upper: "u", work: "w", o: Options{Volatile: true},
			want: mount.Mount{Type: "overlay", Source: "overlay", Options: slices.Concat([]mount.Option{lowers("a")}, upper, off, []mount.Option{{Key: "volatile"}})},
		},
		{
			name: "view", lowers: []string{"b", "a"}, o: Options{Volatile: true},
			want: mount.Mount{Type: "overlay", Source: "overlay", ReadOnly: true, Options: slices.Concat([]mount.Option{lowers("b", "a")}, off)},
		},
		{
			name: "repeated layer", lowers: []string{"a", "b", "a", "c", "b"}, upper: "u", work: "w",
			want: mount.Mount{Type: "overlay", Source: "overlay", Options: slices.Concat([]mount.Option{lowers("a", "b", "c")}, upper, off)},
		},
		{name: "view of one layer", lowers: []string{"a"}, want: mount.Mount{Type: "bind", Source: "a", ReadOnly: true}},
		{name: "view of one layer, repeated", lowers: []string{"a", "a"}, want: mount.Mount{Type: "bind", Source: "a", ReadOnly: true}},
		{name: "upperdir alone", upper: "u", work: "w", want: mount.Mount{Type: "bind", Source: "u"}},
		{name: "nothing", err: errdefs.ErrInvalidArgument},
		{name: "no workdir", lowers: []string{"a"}, upper: "u", err: errdefs.ErrInvalidArgument},
		{name: "too many", lowers: names(MaxLowers + 1), upper: "u", work: "w", err: errdefs.ErrInvalidArgument},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Mount(tt.lowers, tt.upper, tt.work, tt.o)
			if !errors.Is(err, tt.err) || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v, %v\nwant %+v, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

// Trap 9: an image of 500 layers runs, one of 501 is refused and the message says why.
func TestLayerLimit(t *testing.T) {
	if _, err := Mount(append(names(MaxLowers), "0", "1"), "u", "w", Options{}); err != nil {
		t.Errorf("%d different layers: %v", MaxLowers, err)
	}
	_, err := Mount(names(MaxLowers+1), "u", "w", Options{})
	if err == nil || !strings.Contains(err.Error(), "the kernel's limit is 500") || !strings.Contains(err.Error(), "501") {
		t.Errorf("one more: %v", err)
	}
}

func names(n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprint(i))
	}
	return list
}

// methods are those that this kernel has, the best first.
func methods(t *testing.T) []mount.Method {
	t.Helper()
	all := []mount.Method{mount.ByDescriptor, mount.ByPath, mount.ByNumber}
	switch {
	case testutil.Kernel(t, 6, 13):
		return all
	case testutil.Kernel(t, 6, 8):
		return all[1:]
	}
	return all[2:]
}

// Trap 10: the kernel refuses a directory that is listed twice; of a repeated layer the topmost counts.
func TestRepeatedLayer(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	s := newStack(t, "a", "b")
	write(t, s.lowers["a"]+"/x", "a")
	write(t, s.lowers["b"]+"/x", "b")
	for _, tt := range []struct {
		order []string
		want  string
	}{{[]string{"a", "b", "a"}, "a"}, {[]string{"b", "a", "b", "a"}, "b"}} {
		target := s.mount(t, Options{Volatile: true, Method: methods(t)[0]}, tt.order...)
		if b, err := os.ReadFile(target + "/x"); string(b) != tt.want {
			t.Errorf("%q shows %q, %v", tt.order, b, err)
		}
		s.unmount(t)
	}
}

// Trap 21: whatever the defaults of the module, an upperdir holds every change in full.
func TestUpperIsADiff(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	for _, name := range []string{"redirect_dir", "metacopy", "index", "nfs_export", "xino_auto"} {
		setParameter(t, name, "Y")
	}
	for _, method := range methods(t) {
		t.Run(method.String(), func(t *testing.T) {
			s := newStack(t, "a", "b")
			write(t, s.lowers["b"]+"/file", "content")
			if err := os.MkdirAll(s.lowers["b"]+"/dir/sub", 0o755); err != nil {
				t.Fatal(err)
			}
			target := s.mount(t, Options{Volatile: true, Method: method}, "a", "b")
			if err := os.Chmod(target+"/file", 0o600); err != nil {
				t.Fatal(err)
			}
			if err := unix.Rename(target+"/dir", target+"/moved"); !errors.Is(err, unix.EXDEV) {
				t.Errorf("rename of a lower directory: %v, want EXDEV", err)
			}
			if b, err := os.ReadFile(s.upper + "/file"); string(b) != "content" {
				t.Errorf("the upperdir holds %q, %v", b, err)
			}
			for _, attr := range []string{"trusted.overlay.metacopy", "trusted.overlay.redirect"} {
				if _, err := unix.Lgetxattr(s.upper+"/file", attr, nil); !errors.Is(err, unix.ENODATA) {
					t.Errorf("%s: %v", attr, err)
				}
			}
			if _, err := os.Stat(s.work + "/index"); err == nil {
				t.Error("there is an index")
			}
			s.unmount(t)
		})
	}
}

// setParameter sets a default of the kernel's module for the duration of the test.
func setParameter(t *testing.T, name, value string) {
	t.Helper()
	path := "/sys/module/overlay/parameters/" + name
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.WriteFile(path, old, 0) })
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

// Trap 19: the kernel allows the same upperdir twice; that it does not, as with index=on, must not
// come from us: a second mount right after the first must succeed.
func TestMountAgainAtOnce(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	setParameter(t, "index", "Y")
	for _, method := range methods(t) {
		s := newStack(t, "a")
		for range 5 {
			s.mount(t, Options{Method: method}, "a")
			s.unmount(t)
		}
	}
}

// Trap 20: a volatile mount leaves a mark for which the kernel refuses the next one.
func TestVolatileAgain(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	s := newStack(t, "a")
	o := Options{Volatile: true, Method: methods(t)[0]}
	target := s.mount(t, o, "a")
	write(t, target+"/kept", "kept")
	s.unmount(t)
	m, err := Mount([]string{s.lowers["a"]}, s.upper, s.work, o)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := m.Open(); !errors.Is(err, unix.EINVAL) {
		t.Fatalf("second mount: %v, %v, want EINVAL", f, err)
	}
	for range 2 { // it is no error when there is nothing to do
		if err := Renew(s.work); err != nil {
			t.Fatal(err)
		}
	}
	target = s.mount(t, o, "a")
	if _, err := os.Stat(target + "/kept"); err != nil {
		t.Error(err)
	}
	s.unmount(t)
}

func TestRenewRefused(t *testing.T) {
	work := t.TempDir()
	if err := Renew(work); err != nil {
		t.Errorf("fresh workdir: %v", err)
	}
	if err := os.MkdirAll(work+"/work/incompat/other", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Renew(work); err == nil {
		t.Error("a mark that is not known was deleted")
	}
}

func TestWhiteouts(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	s := newStack(t, "top", "bottom")
	for _, name := range []string{"gone", "d/hidden", "d/shown"} {
		write(t, filepath.Join(s.lowers["bottom"], name), "x")
	}
	write(t, s.lowers["top"]+"/d/shown", "x")
	top, err := os.Open(s.lowers["top"])
	if err != nil {
		t.Fatal(err)
	}
	defer top.Close()
	d, err := os.Open(s.lowers["top"] + "/d")
	if err != nil {
		t.Fatal(err)
	}
	var w Whiteouts
	if err := w.Whiteout(top, "gone"); err != nil {
		t.Fatal(err)
	}
	if err := w.Whiteout(top, "gone"); !errors.Is(err, os.ErrExist) {
		t.Errorf("twice: %v, want fs.ErrExist", err)
	}
	for range 2 {
		if err := w.Opaque(d); err != nil {
			t.Fatal(err)
		}
	}
	target := s.mount(t, Options{Volatile: true, Method: methods(t)[0]}, "top", "bottom")
	for name, want := range map[string]bool{"gone": false, "d/hidden": false, "d/shown": true} {
		if _, err := os.Lstat(filepath.Join(target, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.unmount(t)
	d.Close()
	if err := w.Opaque(d); err == nil {
		t.Error("no error from a closed directory")
	}
}

// stack is a set of directories to mount.
type stack struct {
	lowers              map[string]string
	upper, work, target string
}

func newStack(t *testing.T, lowers ...string) *stack {
	t.Helper()
	dir := t.TempDir()
	s := &stack{lowers: map[string]string{}, upper: dir + "/upper", work: dir + "/work", target: dir + "/target"}
	for _, name := range lowers {
		s.lowers[name] = dir + "/lower:" + name
	}
	for _, path := range append([]string{s.upper, s.work, s.target}, mapValues(s.lowers)...) {
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { mount.Unmount(s.target) })
	return s
}

func mapValues(m map[string]string) (list []string) {
	for _, v := range m {
		list = append(list, v)
	}
	return list
}

// mount mounts the named lowers, with a fresh workdir if need be, and returns where.
func (s *stack) mount(t *testing.T, o Options, names ...string) string {
	t.Helper()
	var dirs []string
	for _, name := range names {
		dirs = append(dirs, s.lowers[name])
	}
	if err := Renew(s.work); err != nil {
		t.Fatal(err)
	}
	m, err := Mount(dirs, s.upper, s.work, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.At(s.target); err != nil {
		t.Fatal(err)
	}
	return s.target
}

func (s *stack) unmount(t *testing.T) {
	t.Helper()
	if err := mount.Unmount(s.target); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestUnder(t *testing.T) {
	m, err := Mount([]string{"/a", "/b"}, "/upper", "/work", Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, ok := Under(m, "/lowest")
	if dirs := got.Options[0].Dirs; !ok || !slices.Equal(dirs, []string{"/a", "/b", "/lowest"}) {
		t.Errorf("lowerdirs %q, %v", dirs, ok)
	}
	if dirs := m.Options[0].Dirs; !slices.Equal(dirs, []string{"/a", "/b"}) {
		t.Errorf("the mount itself has %q now", dirs)
	}
	if _, ok := Under(mount.Mount{Type: "bind", Source: "/a"}, "/lowest"); ok {
		t.Error("there is room under a bind")
	}
}
