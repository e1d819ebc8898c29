package oracle

import (
	"archive/tar"
	"bytes"
	"cmp"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// filter is a profile of a user, which answers as neither the kernel nor Docker's profile does.
const filter = `{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [
	{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
	{"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}], "syscalls": [
	{"names": ["swapon", "acct"], "action": "SCMP_ACT_ERRNO", "errnoRet": 18},
	{"names": ["keyctl"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_GE"}]}]}`

// machine is what the containers of a test are made with: a binary, a store with the image "oracle", and directories of
// the host.
type machine struct {
	lrun         string
	dir          string
	env          []string
	namespaces   map[string]string // of the host, by name
	keyring      string            // of the host's session
	replacements []replacement
	archive      []byte // of the image's only layer
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	if _, err := exec.LookPath("runc"); err != nil {
		testutil.Missing(t, err)
	}
	testutil.LeakCheck(t)
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil { // which users of other namespaces than the host's go through
		t.Fatal(err)
	}
	if err := unix.Mount("oracle", dir, "tmpfs", 0, "mode=0755"); err != nil { // TMPDIR may be on overlayfs
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil { // some containers share their mounts with it
		t.Fatal(err)
	}
	m := &machine{
		dir: filepath.Join(dir, "host"), lrun: cmp.Or(os.Getenv("LRUN_BINARY"), filepath.Join(dir, "lrun")),
		namespaces: map[string]string{}, replacements: replacements(),
	}
	m.env = append(os.Environ(), "B=given", "LRUN_ROOT="+filepath.Join(dir, "root"), "LRUN_STATE="+filepath.Join(dir, "state"),
		"LRUN_DRIVER="+cmp.Or(os.Getenv("LRUN_TEST_DRIVER"), "overlayfs"))
	names, err := filepath.Glob("/proc/self/ns/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if m.namespaces[filepath.Base(name)], err = os.Readlink(name); err != nil {
			t.Fatal(err)
		}
	}
	keyring, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	if err != nil {
		t.Fatal(err)
	}
	m.keyring = strconv.Itoa(keyring)
	if os.Getenv("LRUN_BINARY") == "" {
		build(t, m.lrun, "../../cmd/lrun", "-buildvcs=false", "-tags=urfave_cli_no_docs", "-ldflags=-s -w")
	}
	probe := filepath.Join(dir, "probe")
	build(t, probe, "./probe", "-buildvcs=false", "-tags=probe", "-ldflags=-s -w -checklinkname=0")
	m.fill(t)
	m.archive = archive(t, probe)
	m.load(t)
	m.extract(t, "rootfs")
	m.lend(t)
	return m
}

func build(t *testing.T, to, pkg string, flags ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append(append([]string{"build", "-trimpath", "-o", to}, flags...), pkg)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
}

// fill makes the directories of the host that containers show.
func (m *machine) fill(t *testing.T) {
	t.Helper()
	for _, err := range []error{
		os.MkdirAll(m.dir+"/a/in", 0o755), os.WriteFile(m.dir+"/a/file", []byte("a"), 0o644), os.WriteFile(m.dir+"/a/other", []byte("o"), 0o640),
		os.Mkdir(m.dir+"/b", 0o750), os.Chown(m.dir+"/b", 1000, 1001), os.WriteFile(m.dir+"/b/file", []byte("b"), 0o4755),
		os.WriteFile(m.dir+"/seccomp.json", []byte(filter), 0o600),
		os.MkdirAll(m.dir+"/mounted/in", 0o777), unix.Mount("sub", m.dir+"/mounted/in", "tmpfs", unix.MS_NOATIME|unix.MS_NODEV, "mode=0711"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// load imports the image.
func (m *machine) load(t *testing.T) {
	t.Helper()
	load := exec.CommandContext(t.Context(), m.lrun, "import", "-", "oracle")
	load.Env, load.Stdin = m.env, bytes.NewReader(m.archive)
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("import: %v\n%s", err, out)
	}
}

// extract makes a directory with what is in the image, as if it were fresh.
func (m *machine) extract(t *testing.T, name string) {
	t.Helper()
	dir := filepath.Join(m.dir, name)
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	tar := exec.CommandContext(t.Context(), "tar", "-xp", "--numeric-owner", "-C", dir)
	tar.Stdin = bytes.NewReader(m.archive)
	if out, err := tar.CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
}

// lend runs a container that others share something with, until the test ends.
func (m *machine) lend(t *testing.T) {
	t.Helper()
	donor := exec.Command(m.lrun, "run", "--rm", "-i", "--name", "donor", "--ipc", "shareable", "--hostname", "donor",
		"-v", m.dir+"/b:/of/donor", "-v", m.dir+"/a/file:/of/file:ro", "-v", "lent:/lent", "--tmpfs", "/not/lent", "oracle", "/probe", "wait")
	donor.Env = m.env
	var stderr bytes.Buffer
	donor.Stderr = &stderr
	in, err := donor.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := donor.StdoutPipe()
	if err == nil {
		err = donor.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), donor.Wait()); err != nil {
			t.Errorf("the donor: %v\n%s", err, stderr.String())
		}
	})
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		t.Fatalf("the donor says nothing: %v\n%s", err, stderr.String())
	}
}

// archive is the image: the program, and what it looks at.
func archive(t *testing.T, probe string) []byte {
	t.Helper()
	program, err := os.ReadFile(probe)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, h := range []struct {
		name, link, content string
		mode                int64
		uid, gid            int
	}{
		{name: "etc/", mode: 0o755},
		{name: "etc/passwd", mode: 0o644, content: "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"},
		{name: "etc/group", mode: 0o644, content: "root:x:0:\nuser:x:1000:\nstaff:x:50:user\nextra:x:60:user,root\nwheel:x:10:root\n"},
		{name: "etc/shadow", mode: 0o600, content: "root:*:::::::\n"},
		{name: "home/user/", mode: 0o700, uid: 1000, gid: 1000},
		{name: "root/", mode: 0o700},
		{name: "tmp/", mode: 0o1777},
		{name: "var/", mode: 0o755},
		{name: "srv/", mode: 0o2775, gid: 50},
		{name: "srv/in", mode: 0o600, content: "in"},
		{name: "link", link: "srv"},
		{name: "probe", mode: 0o755, content: string(program)},
		{name: "bin/", mode: 0o755},
		{name: "bin/probe", link: "../probe"},
		{name: "link-to-probe", link: "/link/../probe"},
		{name: "script", mode: 0o755, content: "#!/probe words of one\n"},
		{name: "bad-script", mode: 0o755, content: "#!/nothing\n"},
		{name: "unknown", mode: 0o755, content: "no program\n"},
	} {
		kind := byte(tar.TypeReg)
		switch {
		case h.link != "":
			kind = tar.TypeSymlink
		case h.name[len(h.name)-1] == '/':
			kind = tar.TypeDir
		}
		if err := w.WriteHeader(&tar.Header{
			Name: h.name, Typeflag: kind, Linkname: h.link, Mode: h.mode, Uid: h.uid, Gid: h.gid, Size: int64(len(h.content)),
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(h.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}
