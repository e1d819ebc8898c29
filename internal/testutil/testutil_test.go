package testutil

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fake records what a helper tells the test it is given.
type fake struct {
	testing.TB
	skipped  bool
	fatal    string
	errs     []string
	cleanups []func()
}

func (f *fake) Helper()                        {}
func (f *fake) Skipf(string, ...any)           { f.skipped = true; panic(f) }
func (f *fake) Fatalf(format string, a ...any) { f.fatal = fmt.Sprintf(format, a...); panic(f) }
func (f *fake) Errorf(format string, a ...any) { f.errs = append(f.errs, fmt.Sprintf(format, a...)) }
func (f *fake) Cleanup(fn func())              { f.cleanups = append(f.cleanups, fn) }

// run calls what a test would, up to the first Skipf or Fatalf.
func (f *fake) run(what func(testing.TB)) {
	defer func() {
		if p := recover(); p != nil && p != any(f) {
			panic(p)
		}
	}()
	what(f)
}

func TestRequireRoot(t *testing.T) {
	t.Run("not asked", func(t *testing.T) {
		t.Setenv(RootEnv, "")
		f := &fake{TB: t}
		if f.run(RequireRoot); !f.skipped {
			t.Error("did not skip")
		}
	})
	t.Run("asked", func(t *testing.T) {
		t.Setenv(RootEnv, "1")
		f := &fake{TB: t}
		f.run(RequireRoot)
		if f.skipped {
			t.Error("skipped")
		}
		if os.Geteuid() != 0 && f.fatal == "" {
			t.Error("passed without being root")
		}
	})
}

func TestMissing(t *testing.T) {
	for _, c := range []struct {
		env  string
		fail bool
	}{{"", false}, {"0", false}, {"1", true}} {
		t.Setenv(RootEnv, c.env)
		f := &fake{TB: t}
		f.run(func(t testing.TB) { Missing(t, "mkfs.xfs") })
		if f.skipped == c.fail || (f.fatal != "") != c.fail || c.fail && !strings.Contains(f.fatal, "mkfs.xfs") {
			t.Errorf("%q: skipped %t, failed with %q", c.env, f.skipped, f.fatal)
		}
	}
}

func TestPatience(t *testing.T) {
	for env, want := range map[string]time.Duration{"": time.Second, "1": time.Second, "0": time.Second, "-3": time.Second, "x": time.Second, "40": 40 * time.Second} {
		t.Setenv(SlowEnv, env)
		if got := Patience(time.Second); got != want {
			t.Errorf("%q: %v, want %v", env, got, want)
		}
	}
}

func TestKernel(t *testing.T) {
	for version, want := range map[[2]int]bool{{2, 6}: true, {5, 12}: true, {99, 0}: false} {
		if got := Kernel(t, version[0], version[1]); got != want {
			t.Errorf("%v: %t", version, got)
		}
	}
	var now [2]int
	release, err := os.ReadFile("/proc/version")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(release), "Linux version %d.%d", &now[0], &now[1]); err != nil {
		t.Fatal(err)
	}
	if !Kernel(t, now[0], now[1]) || Kernel(t, now[0], now[1]+1) || Kernel(t, now[0]+1, 0) {
		t.Errorf("Linux %v is none, or a later one", now)
	}
}

func TestEffectiveCaps(t *testing.T) {
	tests := []struct {
		status string
		want   uint64
	}{
		{"Name:\tx\nCapPrm:\tffff\nCapEff:\t0000000000200000\nCapBnd:\tffff\n", 1 << unix.CAP_SYS_ADMIN},
		{"CapEff:\t0000000000000000\n", 0},
		{"CapEff:\tnone\n", 0},
		{"", 0},
	}
	for _, tt := range tests {
		if got := effectiveCaps([]byte(tt.status)); got != tt.want {
			t.Errorf("%q: %x, want %x", tt.status, got, tt.want)
		}
	}
}

func TestTreeHash(t *testing.T) {
	before := TreeHash(t, tree(t))
	if again := TreeHash(t, tree(t)); again != before {
		t.Fatal("the same tree has another hash elsewhere")
	}
	changes := []struct {
		name   string
		change func(dir string) error
	}{
		{"name", func(dir string) error { return os.Rename(dir+"/a", dir+"/b") }},
		{"bytes", func(dir string) error { return os.WriteFile(dir+"/a", []byte("B"), 0o600) }},
		{"mode", func(dir string) error { return os.Chmod(dir+"/a", 0o644) }},
		{"setuid", func(dir string) error { return os.Chmod(dir+"/a", 0o600|os.ModeSetuid) }},
		{"link target", func(dir string) error {
			return replace(dir+"/link", func(p string) error { return os.Symlink("b", p) })
		}},
		{"type", func(dir string) error {
			return replace(dir+"/fifo", func(p string) error { return os.WriteFile(p, nil, 0o600) })
		}},
		{"hard link cut", func(dir string) error {
			return replace(dir+"/d/hard", func(p string) error { return os.WriteFile(p, []byte("A"), 0o600) })
		}},
		{"xattr", func(dir string) error { return unix.Lsetxattr(dir+"/a", "user.x", []byte("2"), 0) }},
		{"xattr of the root", func(dir string) error { return unix.Lsetxattr(dir, "user.x", nil, 0) }},
		{"new name", func(dir string) error { return os.WriteFile(dir+"/d/new", nil, 0o600) }},
		{"removed", func(dir string) error { return os.Remove(dir + "/d/hard") }},
	}
	for _, tt := range changes {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t)
			if err := tt.change(dir); err != nil {
				t.Fatal(err)
			}
			settle(t, dir)
			if TreeHash(t, dir) == before {
				t.Error("the hash does not tell")
			}
		})
	}
	t.Run("nanosecond", func(t *testing.T) {
		dir := tree(t)
		if err := os.Chtimes(dir+"/d", time.Time{}, epoch.Add(1)); err != nil {
			t.Fatal(err)
		}
		if TreeHash(t, dir) == before {
			t.Error("the hash does not tell")
		}
	})
}

func TestTreeHashAsRoot(t *testing.T) {
	RequireRoot(t)
	hash := func(uid int, minor uint32) string {
		dir := tree(t)
		if err := unix.Mknod(dir+"/dev", unix.S_IFCHR|0o600, int(unix.Mkdev(1, minor))); err != nil {
			t.Fatal(err)
		}
		if err := os.Lchown(dir+"/link", uid, 0); err != nil {
			t.Fatal(err)
		}
		settle(t, dir)
		return TreeHash(t, dir)
	}
	first := hash(0, 3)
	if hash(0, 3) != first {
		t.Error("the same tree has another hash")
	}
	if hash(1, 3) == first {
		t.Error("the hash does not tell an owner")
	}
	if hash(0, 5) == first {
		t.Error("the hash does not tell a device number")
	}
}

func TestLeaks(t *testing.T) {
	own := "/tmp/TestOwn"
	before, after := empty(), empty()
	const old = "36 35 98:0 / / rw,noatime shared:1 - ext4 /dev/root rw,errors=continue\n"
	before.addMounts(old, own)
	after.addMounts(old+
		"40 36 0:40 / /tmp/TestOwnSub1/001/with\\040space rw - tmpfs tmpfs rw\n"+
		"41 36 0:41 / /tmp/TestOther/001/m rw - tmpfs tmpfs rw\n"+
		"42 36 0:42 / /var/lib/lrun/x rw - overlay overlay rw\n", own)
	got := slices.Sorted(maps.Values(after.without(before).things))
	if len(got) != 2 || !strings.Contains(got[0], "TestOwnSub1") || !strings.Contains(got[1], "/var/lib/lrun/x") {
		t.Errorf("got %q", got)
	}
	if point := after.mounts["mount 40 /tmp/TestOwnSub1/001/with space"]; point == "" {
		t.Errorf("mount point with a space: %q", after.mounts)
	}
}

func TestOnlyWhatStaysLeaks(t *testing.T) {
	first := observation{things: map[string]string{"a": "a", "b": "b"}, mounts: map[string]string{"b": "/b"}}
	second := observation{things: map[string]string{"b": "b", "c": "c"}, mounts: map[string]string{"b": "/b"}}
	left := first.only(second)
	if len(left.things) != 1 || left.things["b"] == "" || left.mounts["b"] == "" {
		t.Errorf("got %v", left)
	}
	if left = first.without(second); len(left.things) != 1 || left.things["a"] == "" || len(left.mounts) != 0 {
		t.Errorf("got %v", left)
	}
}

func TestIsCgroupParent(t *testing.T) {
	for name, want := range map[string]bool{
		"lrun": true, "lrun-test": true, "lrun-cgroup-test": true, "lrun-bench": false, "xlrun": false, "docker": false,
	} {
		if isCgroupParent(name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
}

func TestLeakedProcesses(t *testing.T) {
	own := ownPrefix(t.TempDir())
	before := observe(own)
	child := exec.Command("sleep", "60")
	stranger := exec.Command("sh", "-c", "sleep 60 & echo $!; wait", own) // the shell names own, its child is none of ours
	out, err := stranger.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*exec.Cmd{child, stranger} {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { c.Process.Kill(); c.Wait() }()
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	defer unix.Kill(pid, unix.SIGKILL)
	var got []string
	for key, description := range observe(own).without(before).things {
		if strings.HasPrefix(key, "process ") {
			got = append(got, description)
		}
	}
	if len(got) != 2 {
		t.Errorf("got %q, want the two children", got)
	}
}

func TestLeakCheck(t *testing.T) {
	RequireRoot(t)
	f := &fake{TB: t}
	leakCheck(f, 100*time.Millisecond)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	cgroup := makeCgroup(t)
	f.cleanups[0]()
	report := strings.Join(f.errs, "\n")
	for _, want := range []string{dir, cgroup} {
		if !strings.Contains(report, want) {
			t.Errorf("%s is not in %q", want, report)
		}
	}
	if err := unix.Unmount(dir, 0); err == nil {
		t.Error("the mount was not detached")
	}
	f = &fake{TB: t}
	LeakCheck(f)
	f.cleanups[0]()
	if len(f.errs) > 0 {
		t.Errorf("nothing changed, but: %q", f.errs)
	}
}

// makeCgroup makes a cgroup in the first hierarchy that lets it.
func makeCgroup(t *testing.T) string {
	t.Helper()
	for _, root := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		parent := filepath.Join(root, fmt.Sprintf("lrun-%d-test", os.Getpid()))
		dir := filepath.Join(parent, "leak")
		if os.MkdirAll(dir, 0o755) == nil {
			t.Cleanup(func() { os.Remove(dir); os.Remove(parent) })
			return dir
		}
	}
	t.Fatal("no cgroup can be made")
	return ""
}

func empty() observation {
	return observation{things: map[string]string{}, mounts: map[string]string{}}
}

var epoch = time.Unix(1_000_000_000, 0)

// tree makes a small tree with one of each kind.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, step := range []func() error{
		func() error { return os.Chmod(dir, 0o755) },
		func() error { return os.Mkdir(dir+"/d", 0o700) },
		func() error { return os.WriteFile(dir+"/a", []byte("A"), 0o600) },
		func() error { return os.Link(dir+"/a", dir+"/d/hard") },
		func() error { return os.Symlink("a", dir+"/link") },
		func() error { return unix.Mkfifo(dir+"/fifo", 0o600) },
		func() error { return unix.Lsetxattr(dir+"/a", "user.x", []byte("1"), 0) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, dir)
	return dir
}

// settle gives every file the same time.
func settle(t *testing.T, dir string) {
	t.Helper()
	ts := []unix.Timespec{unix.NsecToTimespec(epoch.UnixNano()), unix.NsecToTimespec(epoch.UnixNano())}
	err := filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func replace(path string, with func(string) error) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return with(path)
}
