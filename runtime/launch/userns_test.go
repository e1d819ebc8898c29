package launch_test

import (
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/runtime/launch"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// runMapped runs a container of its own user namespace, in which root is 1900000000, on a mapped root.
func runMapped(t *testing.T, s spec.Settings, change func(*specs.Spec)) (stdout, stderr string) {
	t.Helper()
	s.UserNS = spec.SameIDs(spec.IDRange{Host: 1_900_000_000, Size: 65536})
	c := config(t, s)
	if change != nil {
		change(c)
	}
	r := launch.Request{Spec: c, UserNS: s.UserNS, AttachAt: t.TempDir()}
	child := launch.Spawn(c.Linux.Namespaces, s.UserNS, nil)
	var err error
	if r.Owners, err = child.Owners(); err != nil {
		t.Fatal(err)
	}
	defer r.Owners.Close()
	r.Owners.UID, r.Owners.GID = s.UserNS.Root()
	dir, _ := busyboxRoot(t)
	if r.Root, err = (mount.Mount{Type: "bind", Source: dir}).OpenMapped(*r.Owners); err != nil {
		t.Fatal(err)
	}
	defer r.Root.Close()
	p, err := launch.Start(t.Context(), r, ready{child, nil, nil})
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr = readAll(t, p.Stdout), readAll(t, p.Stderr)
	if _, err := p.Wait(); err != nil {
		t.Error(err)
	}
	return stdout, stderr
}

func TestUserNamespace(t *testing.T) {
	testutil.RequireRoot(t)
	for name, c := range map[string]struct{ script, want string }{
		"the map":                  {"cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '", " 0 1900000000 65536\n 0 1900000000 65536\n"},
		"groups may be set":        {"cat /proc/self/setgroups", "allow\n"},
		"its root is root":         {"id -u; id -g; touch /new && stat -c %u:%g /new /bin", "0\n0\n0:0\n0:0\n"},
		"/dev is its root's":       {"stat -c %u:%g /dev /dev/null /dev/fd /dev/pts /dev/pts/ptmx /dev/shm /dev/mqueue | sort -u", "0:0\n"},
		"the host's is nobody's":   {"stat -c %u:%g /proc /sys/kernel | sort -u", "65534:65534\n"},
		"its host name":            {"hostname", "box\n"},
		"it makes no devices":      {"mknod /n c 1 3 2>&1; echo >/dev/null && echo works", "mknod: /n: Operation not permitted\nworks\n"},
		"masks hold":               {"cat /proc/keys /proc/timer_list; ls /sys/firmware; echo x 2>/dev/null >/proc/sys/kernel/panic || echo no", "no\n"},
		"what the host's root may": {"echo x 2>/dev/null >/proc/1/oom_score_adj; echo -1000 2>/dev/null >/proc/self/oom_score_adj || echo no", "no\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := spec.Settings{Args: []string{"busybox", "sh", "-c", "PATH=/bin; for a in tr mknod; do ln -s busybox /bin/$a; done; " + c.script}, Env: []string{"PATH=/bin"}, Hostname: "box"}
			if out, stderr := runMapped(t, s, nil); out != c.want || stderr != "" {
				t.Errorf("got %q, %q, want %q", out, stderr, c.want)
			}
		})
	}
}

// The child is nobody on the host and could raise no limit itself. Where lrun may not either, one is lowered.
func TestUserNamespaceSetsLimits(t *testing.T) {
	testutil.RequireRoot(t)
	var old unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_CORE, &unix.Rlimit{Cur: 0, Max: 8192}, &old); err != nil {
		t.Fatal(err)
	}
	want := specs.POSIXRlimit{Type: "RLIMIT_CORE", Soft: 2048, Hard: 4096}
	if err := unix.Prlimit(0, unix.RLIMIT_CORE, &old, nil); err == nil { // with CAP_SYS_RESOURCE
		want.Soft, want.Hard = 8192, 16384
		if err := unix.Prlimit(0, unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1024, Max: 1024}, nil); err != nil {
			t.Fatal(err)
		}
		defer unix.Prlimit(0, unix.RLIMIT_CORE, &old, nil)
	}
	out, stderr := runMapped(t, spec.Settings{Args: []string{"grep", "core", "/proc/self/limits"}, Env: []string{"PATH=/bin"}}, func(c *specs.Spec) {
		c.Process.Rlimits = []specs.POSIXRlimit{want}
	})
	if f := strings.Fields(out); len(f) < 6 || f[4] != strconv.FormatUint(want.Soft, 10) || f[5] != strconv.FormatUint(want.Hard, 10) {
		t.Errorf("got %q, %q", out, stderr)
	}
}

// With all capabilities there are, over its own namespaces and no more.
func TestUserNamespaceHasItsNamespaces(t *testing.T) {
	testutil.RequireRoot(t)
	script := "PATH=/bin; hostname other && hostname; mount -t tmpfs none /tmp && echo mounted; mount -o remount,rw /proc/sys; " +
		"echo 5 2>/dev/null >/proc/sys/kernel/panic || echo no; echo 1 >/proc/sys/net/ipv4/ip_forward && cat /proc/sys/net/ipv4/ip_forward; ip link set lo down && echo down"
	s := spec.Settings{Args: []string{"sh", "-c", script}, CapAdd: []string{"ALL"}, Hostname: "box"}
	if out, stderr := runMapped(t, s, nil); out != "other\nmounted\nno\n1\ndown\n" {
		t.Errorf("got %q, %q", out, stderr)
	}
}

func TestUserNamespaceMapsWhatIsAskedFor(t *testing.T) {
	testutil.RequireRoot(t)
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/secret", []byte("host's\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := spec.Settings{Env: []string{"PATH=/bin"}, Mounts: []spec.Mount{{Type: "bind", Source: dir, Target: "/d"}, {Type: "tmpfs", Target: "/tmp", Options: []string{"uid=3"}}}}
	s.Args = []string{"sh", "-c", "cat /d/secret 2>&1; echo x 2>/dev/null >/d/new; stat -c %u /d /tmp"}
	if out, stderr := runMapped(t, s, nil); out != "cat: can't open '/d/secret': Permission denied\n65534\n3\n" {
		t.Errorf("not mapped: got %q, %q", out, stderr)
	}
	s.Mounts[0].IDMap = true
	if out, stderr := runMapped(t, s, nil); out != "host's\n0\n3\n" {
		t.Errorf("mapped: got %q, %q", out, stderr)
	}
	if info, err := os.Stat(dir + "/new"); err != nil || ownerOf(info) != 0 {
		t.Errorf("what it made there: %v, %v", info, err)
	}
}

func ownerOf(info os.FileInfo) uint32 {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 1<<32 - 1
	}
	return st.Uid
}

func readAll(t *testing.T, f *os.File) string {
	t.Helper()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Error(err)
	}
	f.Close()
	return string(b)
}
