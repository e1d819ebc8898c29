package launch_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/runtime/cgroup"
	"github.com/lrun-dev/lrun/runtime/launch"
	"github.com/lrun-dev/lrun/runtime/launch/self"
	"github.com/lrun-dev/lrun/runtime/reaper"
	"github.com/lrun-dev/lrun/runtime/seccomp"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// TestMain lets this test's own executable be the init of a container, as lrun's is.
func TestMain(m *testing.M) {
	if os.Args[0] == reaper.Name {
		os.Exit(reaper.Main(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// inside runs a shell script in a container of busybox and returns what it printed.
func inside(t *testing.T, s spec.Settings, script string) string {
	t.Helper()
	_, root := busyboxRoot(t)
	s.Args, s.Env = []string{"sh", "-c", script}, []string{"PATH=/bin"}
	out, stderr, code, err := run(t, launch.Request{Root: root, Spec: config(t, s)}, "")
	if err != nil {
		t.Fatal(err)
	}
	if code == 1 {
		return out + stderr + "(failed)"
	}
	return out + stderr + map[bool]string{true: "", false: fmt.Sprintf("(code %d)", code)}[code == 0]
}

func TestConfinement(t *testing.T) {
	testutil.RequireRoot(t)
	defer unix.Umask(unix.Umask(0o077))
	for name, c := range map[string]struct {
		settings spec.Settings
		script   string
		want     string
	}{
		"no descriptor but the three":    {spec.Settings{}, "cd /proc/self/fd && echo *", "0 1 2 3\n"}, // 3 is the shell's own, of the directory
		"streams block":                  {spec.Settings{}, "grep flags /proc/self/fdinfo/1", "flags:\t01\n"},
		"mounts have their names":        {spec.Settings{}, "grep -E ' /(proc|sys|dev|dev/shm|dev/pts|dev/mqueue|sys/firmware) ' /proc/mounts | cut -d' ' -f1,2 | sort", "devpts /dev/pts\nmqueue /dev/mqueue\nproc /proc\nshm /dev/shm\nsysfs /sys\ntmpfs /dev\ntmpfs /sys/firmware\n"},
		"umask is 022":                   {spec.Settings{}, "umask", "0022\n"},
		"pid 1 and nobody else":          {spec.Settings{}, "echo $$ /proc/[0-9]*", "1 /proc/1\n"},
		"a session of its own":           {spec.Settings{}, "cut -d' ' -f5-7 /proc/self/stat", "1 1 0\n"},
		"a file is masked":               {spec.Settings{}, "wc -c </proc/keys; stat -c %t:%T /proc/keys", "0\n1:3\n"},
		"firmware is masked":             {spec.Settings{}, "ls /sys/firmware | wc -l", "0\n"},
		"proc/sys is read-only":          {spec.Settings{}, "echo x >/proc/sys/kernel/domainname", "sh: can't create /proc/sys/kernel/domainname: Read-only file system\n(failed)"},
		"sys is read-only":               {spec.Settings{}, "mkdir /sys/fs/cgroup/x 2>/dev/null; echo x 2>/dev/null >/sys/kernel/profiling; echo $?", "1\n"},
		"the root is writable":           {spec.Settings{}, "echo x >/new && cat /new", "x\n"},
		"the root is read-only":          {spec.Settings{ReadOnly: true}, "touch /new", "touch: /new: Read-only file system\n(failed)"},
		"dev is writable":                {spec.Settings{ReadOnly: true}, "touch /dev/shm/new /dev/new", ""},
		"no mount":                       {spec.Settings{}, "mount -t tmpfs x /tmp 2>/dev/null; echo $?", "1\n"},
		"capabilities":                   {spec.Settings{}, "grep -E 'Cap(Inh|Eff|Bnd|Amb)' /proc/self/status", "CapInh:\t0000000000000000\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\n"},
		"privileges can be gained":       {spec.Settings{}, "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t0\n"},
		"loopback is up":                 {spec.Settings{}, "ip addr show lo | grep -c 127.0.0.1; ls /sys/class/net", "1\nlo\n"},
		"working directory is made":      {spec.Settings{Cwd: "/srv/a/b"}, "pwd", "/srv/a/b\n"},
		"tmpfs with a mode":              {spec.Settings{Mounts: []spec.Mount{{Type: "tmpfs", Target: "/t", Options: []string{"mode=700", "size=1m"}}}}, "stat -c %a /t", "700\n"},
		"shared memory for everybody":    {spec.Settings{}, "stat -c '%a %U' /dev/shm", "1777 UNKNOWN\n"},
		"standard devices for everybody": {spec.Settings{}, "stat -c '%a %t:%T' /dev/null /dev/urandom", "666 1:3\n666 1:9\n"},
		"device links":                   {spec.Settings{}, "readlink /dev/fd; readlink /dev/ptmx", "/proc/self/fd\npts/ptmx\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := inside(t, c.settings, c.script); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// A shell starts its background jobs with SIGINT ignored; the container's program must not inherit that.
func TestSignalsHaveTheirDefault(t *testing.T) {
	testutil.RequireRoot(t)
	signal.Ignore(unix.SIGINT, unix.SIGHUP)
	defer signal.Reset(unix.SIGINT, unix.SIGHUP)
	_, root := busyboxRoot(t)
	out, stderr, _, err := run(t, launch.Request{Root: root, Spec: config(t, spec.Settings{
		Args: []string{"grep", "SigIgn", "/proc/self/status"}, Env: []string{"PATH=/bin"},
	})}, "")
	if err != nil || out != "SigIgn:\t0000000000000000\n" {
		t.Errorf("got %q, %q, %v", out, stderr, err)
	}
}

func TestOtherUserOwnsItsStreams(t *testing.T) {
	testutil.RequireRoot(t)
	_, root := busyboxRoot(t)
	c := config(t, spec.Settings{Args: []string{"sh", "-c", "id -u; id -g; id -G; echo x >/dev/stdout; grep CapEff /proc/self/status"}, Env: []string{"PATH=/bin"}})
	c.Process.User.UID, c.Process.User.GID, c.Process.User.AdditionalGids = 1000, 1001, []uint32{7, 8}
	out, stderr, _, err := run(t, launch.Request{Root: root, Spec: c}, "")
	if want := "1000\n1001\n1001 7 8\nx\nCapEff:\t0000000000000000\n"; err != nil || out != want {
		t.Errorf("got %q, %q, %v; want %q", out, stderr, err, want)
	}
}

func TestImageLinksRedirectNoMount(t *testing.T) {
	testutil.RequireRoot(t)
	for _, link := range []string{"proc", "dev", "sys"} {
		t.Run(link, func(t *testing.T) {
			dir, root := busyboxRoot(t)
			if err := os.Symlink("tmp", filepath.Join(dir, link)); err != nil {
				t.Fatal(err)
			}
			_, _, _, err := run(t, launch.Request{Root: root, Spec: config(t, spec.Settings{Args: []string{"true"}, Env: []string{"PATH=/bin"}})}, "")
			if !errors.Is(err, unix.ELOOP) || !strings.Contains(err.Error(), "/"+link) {
				t.Errorf("got %v, want ELOOP naming /%s", err, link)
			}
		})
	}
}

func TestWorkingDirectoryIsNoDescriptorOfTheHost(t *testing.T) {
	testutil.RequireRoot(t)
	for _, cwd := range []string{"/proc/self/fd/3", "/proc/self/fd/5", "/proc/self/cwd", "/link"} {
		dir, root := busyboxRoot(t)
		if err := os.Symlink("/proc/self/fd/4", filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
		out, _, _, err := run(t, launch.Request{Root: root, Spec: config(t, spec.Settings{
			Args: []string{"/bin/busybox", "ls", "-la", "../../.."}, Cwd: cwd,
		})}, "")
		if err == nil {
			t.Errorf("%s: started, and saw %s", cwd, out)
		}
	}
}

func TestHostBinaryCannotBeOverwritten(t *testing.T) {
	testutil.RequireRoot(t)
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(own)
	if err != nil {
		t.Fatal(err)
	}
	_, root := busyboxRoot(t)
	// pid 1 is this executable, as the init; a later version of the attack waits until it has ended.
	out, stderr, code, err := run(t, launch.Request{Root: root, Init: true, Spec: config(t, spec.Settings{
		Args: []string{"sh", "-c", "echo evil >>/proc/1/exe; cat /proc/1/comm"}, Env: []string{"PATH=/bin"},
	})}, "")
	if err != nil || code != 0 {
		t.Fatal(err, code, stderr)
	}
	// While the program runs ETXTBSY comes first; the mount that is read-only holds afterwards, too.
	if !strings.Contains(stderr, "Read-only file system") && !strings.Contains(stderr, "Text file busy") {
		t.Errorf("writing gave %q %q", out, stderr)
	}
	exe, err := self.Executable()
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(exe.Fd()), &st); err != nil || st.Flags&unix.ST_RDONLY == 0 {
		t.Errorf("the executable's mount has flags %#x, %v: it is not read-only", st.Flags, err)
	}
	if after, err := os.Stat(own); err != nil || !after.ModTime().Equal(before.ModTime()) || after.Size() != before.Size() {
		t.Errorf("the executable changed: %v", err)
	}
}

func TestInit(t *testing.T) {
	testutil.RequireRoot(t)
	for name, c := range map[string]struct {
		args []string
		out  string
		code int
	}{
		"exit code":       {[]string{"sh", "-c", "echo x; exit 5"}, "x\n", 5},
		"orphan reaped":   {[]string{"sh", "-c", "(true &) ; sleep 0.2; grep -l 'State:.Z' /proc/[0-9]*/status; echo done"}, "done\n", 0},
		"killed":          {[]string{"sh", "-c", "kill -9 $$"}, "", 137},
		"signal to pid 1": {[]string{"sh", "-c", "trap 'echo got it; exit 3' TERM; kill -TERM 1; while :; do sleep 0.05; done"}, "got it\n", 3},
		"not there":       {[]string{"nothere"}, "", 127},
	} {
		t.Run(name, func(t *testing.T) {
			_, root := busyboxRoot(t)
			out, stderr, code, err := run(t, launch.Request{Root: root, Init: true, Spec: config(t, spec.Settings{Args: c.args, Env: []string{"PATH=/bin"}})}, "")
			if err != nil || out != c.out || code != c.code {
				t.Errorf("got %q (%q), code %d, %v; want %q, %d", out, stderr, code, err, c.out, c.code)
			}
		})
	}
}

func TestSeccompFilterIsLoaded(t *testing.T) {
	testutil.RequireRoot(t)
	profile, err := seccomp.Default(nil)
	if err != nil {
		t.Fatal(err)
	}
	program, err := seccomp.Compile(profile)
	if err != nil {
		t.Fatal(err)
	}
	_, root := busyboxRoot(t)
	out, stderr, _, err := runIn(t, launch.Request{Root: root, Spec: config(t, spec.Settings{
		Args: []string{"sh", "-c", "grep Seccomp: /proc/self/status; unshare -U true"}, Env: []string{"PATH=/bin"},
	})}, nil, seccomp.Bytes(program), "")
	if err != nil || out != "Seccomp:\t2\n" || !strings.Contains(stderr, "not permitted") {
		t.Errorf("got %q, %q, %v", out, stderr, err)
	}
}

// The same configuration through Debian's runc must look the same from inside.
func TestExternalRuntimeAgrees(t *testing.T) {
	testutil.RequireRoot(t)
	if _, err := exec.LookPath("runc"); err != nil {
		t.Fatal("runc is not here (package runc)")
	}
	script := "id; pwd; env | sort; hostname; umask; grep -E 'Cap|NoNew|Seccomp:' /proc/self/status; ls /dev | sort; cut -d' ' -f5-6 /proc/self/stat; " +
		"cd /proc/self/fd; echo *; cut -d' ' -f5-6 /proc/self/mountinfo | sort"
	settings := spec.Settings{Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin", "A=b"}, Hostname: "box", Cwd: "/tmp"}
	_, root := busyboxRoot(t)
	hierarchy, err := cgroup.Detect()
	if err != nil {
		t.Fatal(err)
	}
	c := config(t, settings)
	group, err := hierarchy.Create("/lrun-test/built-in", c.Linux.Resources)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := group.Remove(); err != nil {
			t.Error(err)
		}
	}()
	builtIn, stderr, _, err := runIn(t, launch.Request{Root: root, Spec: c}, group, nil, "")
	if err != nil {
		t.Fatal(err, stderr)
	}
	external := strings.Join(strings.FieldsFunc(runExternally(t, settings), func(r rune) bool { return r == '\n' }), "\n") + "\n"
	external = withoutUnused(external, group)
	// runc 1.1 leaves the tmpfs above the hierarchies writable; nothing in it is worth writing to.
	external = strings.Replace(external, "/sys/fs/cgroup rw,", "/sys/fs/cgroup ro,", 1)
	if builtIn != external {
		t.Errorf("built in:\n%s\nrunc:\n%s", builtIn, external)
	}
}

// withoutUnused takes the hierarchies out of a list of mounts in which lrun makes no group, because it sets nothing there
// (package cgroup measures what they cost); runc makes one in each.
func withoutUnused(list string, group *cgroup.Group) string {
	var kept []string
	for line := range strings.Lines(list) {
		name, found := strings.CutPrefix(line, "/sys/fs/cgroup/")
		name, _, _ = strings.Cut(name, " ")
		used := slices.ContainsFunc(group.Mounts(), func(m cgroup.Mount) bool { return filepath.Base(m.Mountpoint) == name })
		if !found || used {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// A label that the kernel does not take, as where there is no SELinux, is no program without one.
func TestNothingRunsWithoutItsLabel(t *testing.T) {
	testutil.RequireRoot(t)
	_, root := busyboxRoot(t)
	c := config(t, spec.Settings{Args: []string{"true"}, Env: []string{"PATH=/bin"}})
	const label = "u:r:no_such_t:s0"
	for want, to := range map[string]*string{`take the SELinux context "` + label + `"`: &c.Process.SelinuxLabel, `"context=` + label + `"`: &c.Linux.MountLabel} {
		*to = label
		if out, _, _, err := run(t, launch.Request{Root: root, Spec: c}, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, %v; want %s", out, err, want)
		}
		*to = ""
	}
}
