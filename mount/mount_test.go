package mount

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// methods are those that this kernel has, the best first.
func methods(t *testing.T) []Method {
	t.Helper()
	all := []Method{ByDescriptor, ByPath, ByNumber}
	switch {
	case testutil.Kernel(t, 6, 13):
		return all
	case testutil.Kernel(t, 6, 8):
		return all[1:]
	}
	return all[2:]
}

// What the kernel is too old for is refused, and leaves nothing.
func TestMethodsOfLaterKernels(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	for method := ByDescriptor; method < methods(t)[0]; method++ {
		m, _ := stack(t, 2)
		m.Method = method
		if f, err := m.Open(); f != nil || !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: %v, %v", method, f, err)
		}
	}
}

// oddName holds all that an option string would have to escape, and is longer than one may be.
var oddName = `a:b,c\d e` + "\n" + strings.Repeat("x", 210)

func TestOverlay(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	for _, method := range methods(t) {
		for _, n := range []int{1, 11, 120, 500} {
			t.Run(fmt.Sprintf("%s, %d lowers", method, n), func(t *testing.T) {
				m, upper := stack(t, n)
				m.Method = method
				target := attach(t, m)
				if got := read(t, target+"/who"); got != "layer 0" {
					t.Errorf("the topmost layer is %q", got)
				}
				for i := range n {
					if got := read(t, fmt.Sprintf("%s/only-%d", target, i)); got != fmt.Sprint("layer ", i) {
						t.Fatalf("layer %d is %q", i, got)
					}
				}
				if err := os.WriteFile(target+"/new", nil, 0o600); err != nil {
					t.Fatal(err)
				}
				if _, err := os.Stat(upper + "/new"); err != nil {
					t.Errorf("what was written is not in the upperdir: %v", err)
				}
			})
		}
		t.Run(method.String()+", too many lowers", func(t *testing.T) {
			m, _ := stack(t, 501)
			m.Method = method
			f, err := m.Open()
			if !errors.Is(err, unix.EINVAL) {
				t.Errorf("%v, %v, want EINVAL", f, err)
			}
		})
		t.Run(method.String()+", read-only", func(t *testing.T) {
			m, _ := stack(t, 2)
			m.Method, m.ReadOnly = method, true
			target := attach(t, m)
			if err := os.WriteFile(target+"/new", nil, 0o600); !errors.Is(err, unix.EROFS) {
				t.Errorf("write: %v, want EROFS", err)
			}
		})
	}
}

// With 500 layers and a low limit of descriptors, only the way that must hold all of them open fails.
func TestFewDescriptors(t *testing.T) {
	testutil.RequireRoot(t)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	m, _ := stack(t, 500)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 100, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	for _, method := range methods(t) {
		m.Method = method
		f, err := m.Open()
		if method == ByNumber && !errors.Is(err, unix.EMFILE) {
			t.Errorf("%s: %v, want EMFILE", method, err)
		} else if method != ByNumber && err != nil {
			t.Errorf("%s: %v", method, err)
		}
		if f != nil {
			f.Close()
		}
		if err := os.RemoveAll(m.Options[2].Dirs[0] + "/work"); err != nil { // the mark of volatile
			t.Error(err)
		}
	}
}

// Trap: overlayfs that cannot use its workdir mounts read-only, and says so in dmesg alone.
func TestOverlaySilentlyReadOnly(t *testing.T) {
	testutil.RequireRoot(t)
	for _, method := range methods(t) {
		t.Run(method.String(), func(t *testing.T) {
			m, _ := stack(t, 1)
			m.Method = method
			work := m.Options[2].Dirs[0]
			setImmutable(t, work, true)
			defer setImmutable(t, work, false)
			f, err := m.Open()
			if !errors.Is(err, unix.EROFS) || f != nil {
				t.Errorf("%v, %v, want EROFS", f, err)
			}
		})
	}
}

func TestDetachedIsUsable(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	for _, method := range methods(t) {
		t.Run(method.String(), func(t *testing.T) {
			m, _ := stack(t, 3)
			m.Method = method
			f, err := m.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var st unix.Stat_t
			if err := unix.Fstatat(int(f.Fd()), "only-2", &st, 0); err != nil {
				t.Error(err)
			}
			if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("children inherit the descriptor: %x, %v", flags, err)
			}
		})
	}
}

// When the last descriptor is closed the mount is gone, and nothing of it lingers in a thread: with
// index=on the kernel would answer EBUSY.
func TestCloseEndsMount(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	for _, method := range methods(t) {
		t.Run(method.String(), func(t *testing.T) {
			m, _ := stack(t, 1)
			m.Method = method
			m.Options[3].Value = "on"              // index
			m.Options = slices.Clip(m.Options[:4]) // not volatile
			for range 10 {
				f, err := m.Open()
				if err != nil {
					t.Fatal(err)
				}
				if other, err := m.Open(); !errors.Is(err, unix.EBUSY) {
					t.Fatalf("while mounted: %v, %v, want EBUSY", other, err)
				}
				f.Close()
			}
		})
	}
}

// mount(2) by number changes working directory and namespace of its thread, and of no other.
func TestByNumberKeepsToItsThread(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	before := surroundings(t)
	var all sync.WaitGroup
	for range 8 {
		m, _ := stack(t, 3)
		m.Method = ByNumber
		all.Go(func() {
			for range 5 {
				f, err := m.Open()
				if err != nil {
					t.Error(err)
					return
				}
				f.Close()
				if err := os.RemoveAll(m.Options[2].Dirs[0] + "/work"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	elsewhere := threadsElsewhere(t, before[1])
	for end := time.Now().Add(testutil.Patience(10 * time.Second)); len(elsewhere) > 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		elsewhere = threadsElsewhere(t, before[1]) // one that ends may be there for a moment
	}
	if len(elsewhere) > 0 {
		t.Errorf("threads %q are not in %s", elsewhere, before[1])
	}
	if after := surroundings(t); after != before {
		t.Errorf("%q, was %q", after, before)
	}
}

func surroundings(t *testing.T) [2]string {
	t.Helper()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	ns, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	return [2]string{wd, ns}
}

func TestTmpfs(t *testing.T) {
	testutil.RequireRoot(t)
	testutil.LeakCheck(t)
	m := Mount{Type: "tmpfs", Source: "scratch", Options: []Option{
		{Key: "nosuid"}, {Key: "noatime"}, {Key: "size", Value: "64k"}, {Key: "mode", Value: "0711"},
	}}
	for _, method := range methods(t) { // without directories all are the same
		m.Method = method
		target := attach(t, m)
		var st unix.Statfs_t
		if err := unix.Statfs(target, &st); err != nil {
			t.Fatal(err)
		}
		if st.Flags&unix.ST_NOSUID == 0 || st.Flags&unix.ST_NOATIME == 0 || st.Flags&unix.ST_NODEV != 0 {
			t.Errorf("flags %x", st.Flags)
		}
		if size := st.Blocks * uint64(st.Bsize); size != 64<<10 {
			t.Errorf("%d bytes", size)
		}
	}
}

func TestErrors(t *testing.T) {
	testutil.RequireRoot(t)
	stacked, _ := stack(t, 1)
	with := func(o ...Option) []Option {
		return append(slices.Clip(stacked.Options), o...)
	}
	missing := filepath.Join(t.TempDir(), "none")
	tests := []struct {
		name string
		m    Mount
		is   error
		says []string
	}{
		{"no such filesystem", Mount{Type: "nonsense"}, unix.ENODEV, []string{`fsopen type "nonsense"`}},
		{"unknown option, with the kernel's words", Mount{Type: "tmpfs", Source: "s", Options: []Option{{Key: "size", Value: "1m"}, {Key: "nonsense", Value: "1"}}}, unix.EINVAL, []string{"fsconfig nonsense", `type "tmpfs"`, `source "s"`, "kernel: tmpfs: Unknown parameter 'nonsense'", "size="}},
		{"unknown flag by number", Mount{Type: "overlay", Method: ByNumber, Options: with(Option{Key: "nonsense"})}, unix.EINVAL, []string{"dmesg"}},
		{"missing layer", Mount{Type: "overlay", Options: []Option{{Key: "lowerdir", Dirs: []string{missing}}}}, unix.ENOENT, []string{"open lowerdir+", missing}},
		{"missing layer by number", Mount{Type: "overlay", Method: ByNumber, Options: []Option{{Key: "lowerdir", Dirs: []string{missing}}}}, unix.ENOENT, []string{"open lowerdir", missing}},
		{"comma by number", Mount{Type: "overlay", Method: ByNumber, Options: with(Option{Key: "x", Value: "a,b"})}, errdefs.ErrInvalidArgument, []string{"comma"}},
		{"value and directories", Mount{Type: "overlay", Options: []Option{{Key: "x", Value: "a", Dirs: []string{"/"}}}}, errdefs.ErrInvalidArgument, nil},
		{"empty list", Mount{Type: "overlay", Options: []Option{{Key: "x", Dirs: []string{}}}}, errdefs.ErrInvalidArgument, nil},
		{"nothing to bind", Mount{Type: "bind", Source: missing}, unix.ENOENT, []string{"open_tree", missing}},
		{"option of a bind", Mount{Type: "bind", Source: "/", Options: []Option{{Key: "size", Value: "1"}}}, errdefs.ErrInvalidArgument, []string{"size"}},
		{"same directory twice", Mount{Type: "overlay", Method: methods(t)[0], Options: []Option{{Key: "lowerdir", Dirs: []string{"/etc", "/etc"}}}}, unix.ELOOP, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := tt.m.Open()
			var e *Error
			if f != nil || !errors.As(err, &e) || !errors.Is(err, tt.is) {
				t.Fatalf("%v, %v", f, err)
			}
			for _, want := range tt.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
	t.Run("no target", func(t *testing.T) {
		m := Mount{Type: "tmpfs", Source: "tmpfs"}
		err := m.At(missing)
		var e *Error
		if !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &e) || e.Op != "move_mount" || e.Target != missing {
			t.Error(err)
		}
		m.Type = "nonsense"
		if err := m.At(missing); !errors.As(err, &e) || e.Target != missing {
			t.Error(err)
		}
	})
}

func TestErrorText(t *testing.T) {
	long := strings.Repeat("y", shownData+7)
	tests := []struct {
		e    Error
		want string
	}{
		{Error{Op: "umount", Target: "/t", Flags: 10, Err: unix.EPERM}, `umount target "/t" flags 0xa: operation not permitted`},
		{Error{Op: "fsopen", Type: "overlay", Source: "s", Data: "a=b", Err: unix.EPERM}, `fsopen type "overlay" source "s" data "a=b": operation not permitted`},
		{Error{Op: "mount", Data: long, Err: unix.EPERM}, `mount data "` + long[:shownData] + `" and 7 bytes more: operation not permitted`},
	}
	for _, tt := range tests {
		if got := tt.e.Error(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

func TestMethodString(t *testing.T) {
	for m, want := range map[Method]string{ByDescriptor: "by descriptor", ByPath: "by path", ByNumber: "by number", 7: "method 7"} {
		if m.String() != want {
			t.Errorf("%d is %q", m, m)
		}
	}
}

// stack describes an overlay of n layers in a store with an odd name. Layer i, counted from the top,
// has a file "who" and a file "only-i".
func stack(t *testing.T, n int) (m Mount, upper string) {
	t.Helper()
	base := filepath.Join(t.TempDir(), oddName)
	var lowers []string
	for i := range n {
		dir := filepath.Join(base, fmt.Sprintf("%d:,", i))
		mkdir(t, dir)
		for _, name := range []string{"who", fmt.Sprint("only-", i)} {
			if err := os.WriteFile(filepath.Join(dir, name), fmt.Append(nil, "layer ", i), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		lowers = append(lowers, dir)
	}
	upper = filepath.Join(base, "upper:,")
	mkdir(t, upper)
	mkdir(t, filepath.Join(base, "work"))
	return Mount{Type: "overlay", Source: "overlay", Method: methods(t)[0], Options: []Option{
		{Key: "lowerdir", Dirs: lowers},
		{Key: "upperdir", Dirs: []string{upper}},
		{Key: "workdir", Dirs: []string{filepath.Join(base, "work")}},
		{Key: "index", Value: "off"},
		{Key: "volatile"}, // or each unmount syncs the machine's disk
	}}, upper
}

// attach mounts m for the duration of the test at a target with an odd name.
func attach(t *testing.T, m Mount) string {
	t.Helper()
	target := filepath.Join(t.TempDir(), "t:,\\ \n")
	mkdir(t, target)
	t.Cleanup(func() {
		if err := Unmount(target); err != nil {
			t.Error(err)
		}
		if isMountPoint(target) {
			t.Errorf("%q is still a mount point", target)
		}
	})
	if err := m.At(target); err != nil {
		t.Fatal(err)
	}
	return target
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(b))
}

func setImmutable(t *testing.T, path string, is bool) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		t.Fatal(err)
	}
	const immutable = 0x10
	flags &^= immutable
	if is {
		flags |= immutable
	}
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags); err != nil {
		t.Fatal(err)
	}
}
