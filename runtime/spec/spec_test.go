package spec_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/lrun-dev/lrun/runtime/spec"
)

const all = 1<<41 - 1

func TestCapabilities(t *testing.T) {
	docker := []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP",
		"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SYS_CHROOT", "CAP_MKNOD", "CAP_AUDIT_WRITE", "CAP_SETFCAP",
	}
	without := func(name string) []string {
		return slices.DeleteFunc(slices.Clone(docker), func(s string) bool { return s == name })
	}
	everything := spec.CapabilityNames(all)
	for name, c := range map[string]struct {
		settings spec.Settings
		bounding uint64
		want     []string
		err      error
	}{
		"Docker's default":         {spec.Settings{}, all, docker, nil},
		"one added":                {spec.Settings{CapAdd: []string{"sys_time"}}, all, sorted(append(docker[:14:14], "CAP_SYS_TIME")), nil},
		"one dropped":              {spec.Settings{CapDrop: []string{"CAP_KILL"}}, all, without("CAP_KILL"), nil},
		"all dropped, one added":   {spec.Settings{CapDrop: []string{"ALL"}, CapAdd: []string{"KILL"}}, all, []string{"CAP_KILL"}, nil},
		"all added, one dropped":   {spec.Settings{CapAdd: []string{"all"}, CapDrop: []string{"MKNOD"}}, all, slices.DeleteFunc(slices.Clone(everything), func(s string) bool { return s == "CAP_MKNOD" }), nil},
		"added and dropped":        {spec.Settings{CapAdd: []string{"KILL"}, CapDrop: []string{"KILL"}}, all, docker, nil},
		"privileged":               {spec.Settings{Privileged: true}, all, everything, nil},
		"lrun lacks a default one": {spec.Settings{}, all &^ 1, without("CAP_CHOWN"), nil},
		"lrun lacks one of all":    {spec.Settings{Privileged: true}, all &^ 1, everything[1:], nil},
		"lrun lacks one asked for": {spec.Settings{CapAdd: []string{"CHOWN"}}, all &^ 1, nil, errdefs.ErrFailedPrecondition},
		"no such capability":       {spec.Settings{CapAdd: []string{"FLY"}}, all, nil, errdefs.ErrInvalidArgument},
		"no such one to drop":      {spec.Settings{CapDrop: []string{"FLY"}}, all, nil, errdefs.ErrInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			c.settings.Args = []string{"true"}
			got, err := spec.New(c.settings, spec.Facts{Bounding: c.bounding})
			if !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			if err != nil {
				return
			}
			if caps := got.Process.Capabilities; !slices.Equal(caps.Bounding, c.want) || !slices.Equal(caps.Effective, c.want) {
				t.Errorf("bounding %v\neffective %v\nwant %v", caps.Bounding, caps.Effective, c.want)
			}
		})
	}
}

func sorted(names []string) []string { return spec.CapabilityNames(spec.Mask(names)) }

func TestOtherUsersGetNoCapabilities(t *testing.T) {
	got, err := spec.New(spec.Settings{Args: []string{"true"}}, spec.Facts{Bounding: all, Identity: spec.Identity{UID: 1000}})
	if err != nil {
		t.Fatal(err)
	}
	c := got.Process.Capabilities
	if len(c.Effective)+len(c.Permitted)+len(c.Inheritable)+len(c.Ambient) != 0 || len(c.Bounding) != 14 {
		t.Errorf("got %+v", c)
	}
}

func TestEnvironment(t *testing.T) {
	for name, c := range map[string]struct {
		settings spec.Settings
		home     string
		want     string
	}{
		"Docker's order":       {spec.Settings{Hostname: "box", Terminal: true, Env: []string{"A=1"}}, "/root", "PATH=" + spec.DefaultPath + " HOSTNAME=box TERM=xterm A=1 HOME=/root"},
		"the image's PATH":     {spec.Settings{Env: []string{"PATH=/bin", "A=1"}}, "/", "PATH=/bin A=1 HOME=/"},
		"HOME is set":          {spec.Settings{Env: []string{"HOME=/h"}}, "/root", "PATH=" + spec.DefaultPath + " HOME=/h"},
		"HOME is empty":        {spec.Settings{Env: []string{"HOME=", "A=1"}}, "/root", "PATH=" + spec.DefaultPath + " HOME=/root A=1"},
		"no home":              {spec.Settings{Env: []string{"HOME="}}, "", "PATH=" + spec.DefaultPath + " HOME="},
		"a name takes away":    {spec.Settings{Env: []string{"PATH"}}, "", ""},
		"the last value holds": {spec.Settings{Env: []string{"PATH=/a", "B=1", "B=2=3", "B2=x"}}, "", "PATH=/a B=2=3 B2=x"},
	} {
		t.Run(name, func(t *testing.T) {
			c.settings.Args = []string{"true"}
			got, err := spec.New(c.settings, spec.Facts{Identity: spec.Identity{Home: c.home}})
			if err != nil {
				t.Fatal(err)
			}
			if env := strings.Join(got.Process.Env, " "); env != c.want {
				t.Errorf("got  %s\nwant %s", env, c.want)
			}
		})
	}
}

func TestUserMountTakesTheDefaultsPlace(t *testing.T) {
	got, err := spec.New(spec.Settings{
		Args:   []string{"true"},
		Mounts: []spec.Mount{{Type: "tmpfs", Target: "/dev/shm/", Options: []string{"size=1m"}}, {Type: "bind", Source: "/srv", Target: "/data", ReadOnly: true}},
	}, spec.Facts{})
	if err != nil {
		t.Fatal(err)
	}
	var shm []specs.Mount
	for _, m := range got.Mounts {
		if strings.TrimSuffix(m.Destination, "/") == "/dev/shm" {
			shm = append(shm, m)
		}
	}
	if len(shm) != 1 || !slices.Contains(shm[0].Options, "size=1m") {
		t.Errorf("/dev/shm: %+v", shm)
	}
	if last := got.Mounts[len(got.Mounts)-1]; last.Destination != "/data" || !slices.Contains(last.Options, "rro") || !slices.Contains(last.Options, "rprivate") {
		t.Errorf("the bind: %+v", last)
	}
}

func TestTmpfsHidesNothingOfProc(t *testing.T) {
	for target, refused := range map[string]bool{"/proc": true, "/proc/sys": true, "/x/../proc/self/": true, "/process": false, "/tmp/proc": false} {
		s := spec.Settings{Args: []string{"sh"}, Mounts: []spec.Mount{{Type: "tmpfs", Target: target}}}
		if _, err := spec.New(s, spec.Facts{}); errors.Is(err, errdefs.ErrInvalidArgument) != refused {
			t.Errorf("%s: got %v, want refused: %t", target, err, refused)
		}
	}
}

func TestTerminalIsNeverOfSomebodysChoice(t *testing.T) {
	for target, refused := range map[string]bool{"/dev/pts": true, "/dev/x/../pts/": true, "/dev/pts/x": false, "/data": false} {
		s := spec.Settings{Args: []string{"sh"}, Terminal: true, Mounts: []spec.Mount{{Type: "volume", Source: "/v", Target: target}}}
		if _, err := spec.New(s, spec.Facts{}); errors.Is(err, errdefs.ErrInvalidArgument) != refused {
			t.Errorf("%s: got %v, want refused: %t", target, err, refused)
		}
		s.Terminal = false
		if _, err := spec.New(s, spec.Facts{}); err != nil {
			t.Errorf("%s without a terminal: %v", target, err)
		}
	}
}

func TestUserMounts(t *testing.T) {
	for want, m := range map[string]spec.Mount{
		"rbind rprivate rw":                {Type: "bind"},
		"rbind rprivate rro":               {Type: "volume", ReadOnly: true},
		"rbind rprivate ro":                {Type: "bind", ReadOnly: true, Recursive: spec.RecursiveWritable},
		"bind rprivate ro":                 {Type: "bind", ReadOnly: true, Recursive: spec.RecursiveDisabled},
		"rbind rshared rw":                 {Type: "bind", Propagation: "rshared"},
		"noexec nosuid nodev size=1m exec": {Type: "tmpfs", Options: []string{"size=1m", "exec"}},
	} {
		m.Target = "/x"
		got, err := spec.New(spec.Settings{Args: []string{"true"}, Mounts: []spec.Mount{m}}, spec.Facts{})
		if err != nil || strings.Join(got.Mounts[len(got.Mounts)-1].Options, " ") != want {
			t.Errorf("got %q, %v; want %q", got.Mounts[len(got.Mounts)-1].Options, err, want)
		}
	}
	for propagation, want := range map[string]string{"": "private", "rprivate": "private", "shared": "shared", "rshared": "shared", "slave": "rslave", "rslave": "rslave"} {
		got, err := spec.New(spec.Settings{Args: []string{"true"}, Mounts: []spec.Mount{{Type: "bind", Target: "/x", Propagation: propagation}}}, spec.Facts{})
		if err != nil || got.Linux.RootfsPropagation != want {
			t.Errorf("%s: the root is %s, want %s; %v", propagation, got.Linux.RootfsPropagation, want, err)
		}
	}
}

func TestPrivilegedHasNoMasks(t *testing.T) {
	profile := &specs.LinuxSeccomp{}
	for _, privileged := range []bool{false, true} {
		got, err := spec.New(spec.Settings{Args: []string{"true"}, Privileged: privileged}, spec.Facts{Seccomp: profile, CgroupV2: true})
		if err != nil {
			t.Fatal(err)
		}
		l := got.Linux
		masked := len(l.MaskedPaths) > 0 && len(l.ReadonlyPaths) > 0 && l.Seccomp != nil && !l.Resources.Devices[0].Allow
		if masked == privileged {
			t.Errorf("privileged %v: masked %v, read-only %v, seccomp %v", privileged, l.MaskedPaths, l.ReadonlyPaths, l.Seccomp)
		}
	}
}

func TestLimits(t *testing.T) {
	got, err := spec.New(spec.Settings{Args: []string{"true"}, Limits: spec.Limits{Memory: 64 << 20, NanoCPUs: 1_500_000_000, Pids: 7}}, spec.Facts{})
	if err != nil {
		t.Fatal(err)
	}
	r := got.Linux.Resources
	if *r.Memory.Limit != 64<<20 || *r.Memory.Swap != 128<<20 || *r.CPU.Quota != 150_000 || *r.CPU.Period != 100_000 || *r.Pids.Limit != 7 {
		t.Errorf("memory %d+%d, cpu %d/%d, pids %d", *r.Memory.Limit, *r.Memory.Swap, *r.CPU.Quota, *r.CPU.Period, *r.Pids.Limit)
	}
}

// rootWith is an image's root with the given files; a value that begins with "->" is a link.
func rootWith(t testing.TB, files map[string]string) *os.File {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, link := strings.CutPrefix(content, "->"); link {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func TestResolveUser(t *testing.T) {
	const passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:44::/var/www:/bin/false\nbroken\n:::::\nnum:x:12:12:::\n"
	const group = "root:x:0:\nweb:x:44:\nextra:x:55:web,other\nstaff:x:66:other\n"
	files := map[string]string{"etc/passwd": passwd, "etc/group": group}
	for name, c := range map[string]struct {
		files map[string]string
		user  string
		more  []string
		want  string
		err   error
	}{
		"root by default":           {files, "", nil, "0:0 [0] /root", nil},
		"by name":                   {files, "web", nil, "33:44 [44 55] /var/www", nil},
		"by number":                 {files, "33", nil, "33:44 [44 55] /var/www", nil},
		"by name with group":        {files, "web:staff", nil, "33:66 [66] /var/www", nil},
		"by numbers":                {files, "7:8", nil, "7:8 [8] /", nil},
		"unknown number":            {files, "1234", nil, "1234:0 [0] /", nil},
		"more by name and number":   {files, "web", []string{"staff", "77", "55"}, "33:44 [44 55 66 77] /var/www", nil},
		"more without a file":       {nil, "5:6", []string{"9"}, "5:6 [6 9] /", nil},
		"more that there is none":   {files, "web", []string{"nogroup"}, "", errdefs.ErrNotFound},
		"more that is no number":    {files, "web", []string{"4294967295"}, "", errdefs.ErrNotFound},
		"no passwd":                 {nil, "5:6", nil, "5:6 [6] /", nil},
		"no passwd, name":           {nil, "web", nil, "", errdefs.ErrNotFound},
		"unknown name":              {files, "nobody", nil, "", errdefs.ErrNotFound},
		"unknown group":             {files, "web:nogroup", nil, "", errdefs.ErrNotFound},
		"negative":                  {files, "-1", nil, "", errdefs.ErrNotFound},
		"too large":                 {files, "4294967296", nil, "", errdefs.ErrNotFound},
		"passwd by a link inside":   {map[string]string{"etc/passwd": "->../real", "real": passwd}, "web", nil, "33:44 [44] /var/www", nil},
		"passwd by an absolute one": {map[string]string{"etc/passwd": "->/real", "real": passwd}, "web", nil, "33:44 [44] /var/www", nil},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := spec.ResolveUser(rootWith(t, c.files), c.user, c.more)
			if !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			if err == nil {
				if got := fmt.Sprintf("%d:%d %v %s", id.UID, id.GID, id.Groups, id.Home); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
			}
		})
	}
}

func TestHostileUserFiles(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(outside, []byte("evil:x:0:0::/:\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("a link out of the root", func(t *testing.T) {
		root := rootWith(t, map[string]string{"etc/passwd": "->../../../../../../.." + outside})
		if id, err := spec.ResolveUser(root, "evil", nil); !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("got %+v, %v", id, err)
		}
	})
	t.Run("a gigabyte", func(t *testing.T) {
		root := rootWith(t, map[string]string{"etc/passwd": ""})
		if err := os.Truncate(filepath.Join(root.Name(), "etc/passwd"), 1<<30); err != nil {
			t.Fatal(err)
		}
		if _, err := spec.ResolveUser(root, "web", nil); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a directory", func(t *testing.T) {
		root := rootWith(t, map[string]string{"etc/passwd/x": ""})
		if _, err := spec.ResolveUser(root, "web", nil); err == nil {
			t.Error("no error")
		}
	})
}

func FuzzResolveUser(f *testing.F) {
	f.Add("root:x:0:0:root:/root:/bin/sh\n", "root:x:0:\n", "root")
	f.Add("a:x:99999999999:0:::\n", "g:x:-1:a\n", "a:g")
	f.Add("0", "0", "") // a group without a name
	f.Fuzz(func(t *testing.T, passwd, group, name string) {
		id, err := spec.ResolveUser(rootWith(t, map[string]string{"etc/passwd": passwd, "etc/group": group}), name, []string{name, "g"})
		if err == nil && (id.UID > 1<<31-1 || id.GID > 1<<31-1) {
			t.Errorf("user %q is %+v", name, id)
		}
	})
}

func ExampleNew() {
	c, err := spec.New(spec.Settings{Args: []string{"sh"}, Env: []string{"PATH=/bin"}}, spec.Facts{})
	if err != nil {
		panic(err)
	}
	fmt.Println(c.Process.Args, c.Process.Env, c.Process.Cwd)
	// Output: [sh] [PATH=/bin] /
}
