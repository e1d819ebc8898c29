package system

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/command"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/rootfs/check"
	"github.com/lrun-dev/lrun/runtime/apparmor"
	"github.com/lrun-dev/lrun/runtime/cgroup"
)

// counts are containers by state.
type counts map[string]int

func (counts) ImageUse(context.Context) (func(digest.Digest) (string, bool), error) {
	return nil, nil
}
func (counts) VolumeUse(context.Context) (map[string][]string, error) { return nil, nil }
func (c counts) Count(context.Context) (map[string]int, error)        { return c, nil }
func (counts) Prune(context.Context, string) error                    { return nil }

func lrun(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	e := env.With(strings.NewReader(""), &out, &errs)
	e.UID = func() int { return 0 }
	e.Containers = counts{"running": 2, "exited": 1, "created": 1, "paused": 1}
	app := &command.App{Name: "lrun", Version: Banner, Env: e, Groups: []command.Group{Group()}}
	dir := t.TempDir()
	global := []string{"lrun", "--root", filepath.Join(dir, "root"), "--state", filepath.Join(dir, "state"), "--driver", "vfs"}
	code = app.Main(t.Context(), append(global, args...))
	return code, out.String(), errs.String()
}

func TestVersion(t *testing.T) {
	code, out, stderr := lrun(t, "version")
	for _, want := range []string{" Version:    ", " Go version: " + runtime.Version(), " Git commit: ", " OS/Arch:    linux/" + runtime.GOARCH} {
		if !strings.Contains(out, want) {
			t.Errorf("got\n%swithout %q", out, want)
		}
	}
	if code != 0 || stderr != "" {
		t.Errorf("exit code %d, stderr %s", code, stderr)
	}
	if _, out, _ := lrun(t, "version", "--format", "{{.Os}}/{{.Arch}} {{.GoVersion}}"); out != "linux/"+runtime.GOARCH+" "+runtime.Version()+"\n" {
		t.Errorf("got %q", out)
	}
	var v versionInfo
	_, out, _ = lrun(t, "version", "-f", "json")
	if err := json.Unmarshal([]byte(out), &v); err != nil || v != (versionInfo{about(), about(), about()}) {
		t.Errorf("got %q, %v", out, err)
	}
	if code, _, stderr := lrun(t, "version", "--format", "{{.Nope}}"); code != 1 || !strings.Contains(stderr, "Nope") {
		t.Errorf("exit code %d, stderr %s", code, stderr)
	}
	if got := Banner(); !strings.HasPrefix(got, "lrun version ") || strings.Contains(got, "\n") {
		t.Errorf("got %q", got)
	}
}

func TestInfo(t *testing.T) {
	code, out, stderr := lrun(t, "info")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, stderr %s", code, stderr)
	}
	for _, want := range []string{
		"Containers: 5\n Running: 2\n Paused: 1\n Stopped: 2\nImages: 0\n", "Driver: vfs\n Reason: chosen with --driver or $LRUN_DRIVER\n",
		"Cgroup Version: ", "Seccomp: ", "AppArmor: ", "Missing Capabilities: ", "Kernel Version: ", "OSType: linux\n", "Total Memory: ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("got\n%swithout %q", out, want)
		}
	}
	_, out, _ = lrun(t, "system", "info", "--format", "json")
	var i info
	if err := json.Unmarshal([]byte(out), &i); err != nil || i.Driver != "vfs" || i.NCPU < 1 || i.MemTotal < 1<<20 || i.KernelVersion == "" || i.Containers != 5 {
		t.Errorf("got %+v, %v", i, err)
	}
	if _, out, _ := lrun(t, "info", "-f", "{{.Driver}} {{.ContainersStopped}}"); out != "vfs 2\n" {
		t.Errorf("got %q", out)
	}
}

func TestInfoText(t *testing.T) {
	i := info{
		ServerVersion: "1", RootDir: "/r", BackingFilesystem: "ext4", StateDir: "/s", Driver: "overlayfs", DriverMethod: "by path",
		DriverReason: "by descriptor: no", CgroupVersion: "1 and 2 (hybrid)", MissingCapabilities: []string{"CAP_A", "CAP_B"},
		CgroupHierarchies: []cgroupHierarchy{{"/sys/fs/cgroup/cpu", 1, []string{"cpu", "cpuacct"}}, {"/sys/fs/cgroup/unified", 2, nil}},
		Seccomp:           true, AppArmor: "lrun-default", Warnings: []string{"careful\x1b"}, MemTotal: 3 << 30, Name: "host",
	}
	var b strings.Builder
	i.write(&b)
	const want = `Version: 1
Root: /r (ext4)
State: /s
Containers: 0
 Running: 0
 Paused: 0
 Stopped: 0
Images: 0
Driver: overlayfs
 Mounted: by path
 Reason: by descriptor: no
Cgroup Version: 1 and 2 (hybrid)
 /sys/fs/cgroup/cpu: v1 cpu cpuacct
 /sys/fs/cgroup/unified: v2
Seccomp: yes
AppArmor: lrun-default
Missing Capabilities: CAP_A CAP_B
Kernel Version:
Operating System:
OSType:
Architecture:
CPUs: 0
Total Memory: 3GiB
Name: host
WARNING: careful\x1b
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

func TestAppArmor(t *testing.T) {
	for profile, want := range map[string]string{"": "not in this kernel", "unconfined": "no apparmor_parser", "docker-default": "docker-default"} {
		if got := appArmorWords(profile); !strings.Contains(got, want) {
			t.Errorf("%q: %q", profile, got)
		}
	}
	host := apparmor.Host{Sys: t.TempDir(), Parser: "/no/parser"}
	var i info
	if err := i.appArmor(host); err != nil || i.AppArmor != "" {
		t.Errorf("off: %q, %v", i.AppArmor, err)
	}
	enabled := filepath.Join(host.Sys, "module/apparmor/parameters/enabled")
	if err := errors.Join(os.MkdirAll(filepath.Dir(enabled), 0o755), os.WriteFile(enabled, []byte("Y\n"), 0o644), i.appArmor(host)); err != nil || i.AppArmor != "unconfined" {
		t.Errorf("on: %q, %v", i.AppArmor, err)
	}
}

func TestProcess(t *testing.T) {
	tests := []struct {
		name, status string
		missing      []string
		seccomp      bool
		warnings     int
	}{
		{"all", "Name:\tx\nCapEff:\t000001ffffffffff\nSeccomp:\t0\n", []string{}, true, 0},
		{"without admin and mknod", "CapEff:\t000001fff7dfffff\n", []string{"CAP_SYS_ADMIN", "CAP_MKNOD"}, false, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var i info
			if err := i.process([]byte(tt.status)); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(i.MissingCapabilities, tt.missing) || i.Seccomp != tt.seccomp || len(i.Warnings) != tt.warnings {
				t.Errorf("got %+v", i)
			}
		})
	}
	var i info
	if err := i.process([]byte("CapEff:\tnothing\n")); err == nil {
		t.Error("what is no number is accepted")
	}
}

func TestCgroups(t *testing.T) {
	cpu := cgroup.Mount{Mountpoint: "/c/cpu", Controllers: []string{"cpu", "cpuacct"}}
	named := cgroup.Mount{Mountpoint: "/c/systemd", Controllers: []string{"name=systemd"}}
	unified := cgroup.Mount{Mountpoint: "/c", Controllers: []string{"memory"}, Unified: true}
	tests := []struct {
		name     string
		mounts   []cgroup.Mount
		version  string
		warnings int
	}{
		{"v1", []cgroup.Mount{cpu, named}, "1", 0},
		{"v2", []cgroup.Mount{unified}, "2", 0},
		{"hybrid", []cgroup.Mount{cpu, unified}, "1 and 2 (hybrid)", 0},
		{"nothing", nil, "none", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var i info
			i.cgroups(tt.mounts)
			if i.CgroupVersion != tt.version || len(i.Warnings) != tt.warnings || len(i.CgroupHierarchies) != len(tt.mounts) {
				t.Fatalf("got %+v", i)
			}
			for j, h := range i.CgroupHierarchies {
				m := tt.mounts[j]
				if h.Mountpoint != m.Mountpoint || (h.Version == 2) != m.Unified || !slices.Equal(h.Controllers, m.Controllers) {
					t.Errorf("got %+v of %+v", h, m)
				}
			}
		})
	}
}

// What is asked for by template is what is asked for by name in Docker, too.
func TestInfoHasDockersNames(t *testing.T) {
	for _, field := range []string{
		"ServerVersion", "Images", "Containers", "ContainersRunning", "ContainersPaused", "ContainersStopped", "Driver", "CgroupVersion",
		"KernelVersion", "OperatingSystem", "OSType", "Architecture", "NCPU", "MemTotal", "Name", "Warnings",
	} {
		if code, out, stderr := lrun(t, "info", "--format", "{{."+field+"}}"); code != 0 || out == "\n" {
			t.Errorf("%s: exit code %d, got %q, stderr %s", field, code, out, stderr)
		}
	}
}

func TestInfoRefuses(t *testing.T) {
	for _, format := range []string{"{{.Nope}}", "{{", "table", "table {{.Driver}}"} {
		if code, out, stderr := lrun(t, "info", "--format", format); code != 1 || out != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", format, code, out, stderr)
		}
	}
	if code, _, stderr := lrun(t, "info", "x"); code != 1 || stderr != "lrun: 'lrun info' accepts no arguments; see 'lrun info --help'\n" {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

func TestReasonOfADriver(t *testing.T) {
	tests := []struct {
		info info
		want string
	}{
		{info{Driver: "overlayfs"}, " Reason: the best way works\n"},
		{info{Driver: "overlayfs", DriverReason: "x"}, " Reason: x\n"},
		{info{Driver: "vfs", DriverChosen: true}, " Reason: chosen with --driver or $LRUN_DRIVER\n"},
		{info{Driver: "overlayfs", DriverChosen: true, DriverReason: "x"}, " Reason: chosen with --driver or $LRUN_DRIVER; x\n"},
	}
	for _, tt := range tests {
		var b strings.Builder
		tt.info.write(&b)
		if !strings.Contains(b.String(), tt.want) {
			t.Errorf("got\n%swithout %s", b.String(), tt.want)
		}
	}
}

func TestOperatingSystem(t *testing.T) {
	root := t.TempDir()
	if got := operatingSystem(root); got != "unknown" {
		t.Errorf("got %q", got)
	}
	if err := os.MkdirAll(filepath.Join(root, "usr/lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "usr/lib/os-release"), []byte("ID=x\nPRETTY_NAME=\"X 1 (y)\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := operatingSystem(root); got != "X 1 (y)" {
		t.Errorf("got %q", got)
	}
	if got := prettyName(bufio.NewScanner(strings.NewReader("ID=x\n"))); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestFilesystem(t *testing.T) {
	if got := filesystem("/proc"); got != "magic number 0x9fa0" {
		t.Errorf("got %q", got)
	}
	if got := filesystem("/nonexistent"); got != "unknown" {
		t.Errorf("got %q", got)
	}
}

func TestFsck(t *testing.T) {
	code, out, stderr := lrun(t, "fsck")
	if code != 0 || stderr != "" || out != "checked 0 images, 0 blobs, 0 layers with 0 files, 0 containers, 0 volumes: 0 damaged, 0 left over, 0 not checked\n" {
		t.Errorf("exit code %d, stderr %s, got %s", code, stderr, out)
	}
	var s check.Summary
	if _, out, _ := lrun(t, "system", "fsck", "--format", "json"); json.Unmarshal([]byte(out), &s) != nil {
		t.Errorf("got %s", out)
	}
	for _, args := range [][]string{{"none"}, {"--format", "table"}} {
		if code, _, stderr := lrun(t, append([]string{"fsck"}, args...)...); code != 125 || stderr == "" {
			t.Errorf("%q: exit code %d, stderr %s", args, code, stderr)
		}
	}
}

func TestFindingLine(t *testing.T) {
	id := "sha256:" + strings.Repeat("ab", 32)
	for want, f := range map[string]check.Finding{
		"damaged: layer abababababab (vfs, a:1, b:2) /x: mode is 1": {Severity: check.Damage, Kind: "layer", ID: id, Driver: "vfs", Images: []string{"a:1", "b:2"}, Path: "/x", Problem: "mode is 1"},
		"damaged: blob abababababab: it is missing (load it)":       {Severity: check.Damage, Kind: "blob", ID: id, Problem: "it is missing", Remedy: "load it"},
		"left over: ingest /r/ingest/1: old":                        {Severity: check.Leftover, Kind: "ingest", ID: "/r/ingest/1", Problem: "old", Remedy: "none"},
		"damaged: container 012345678901: no":                       {Severity: check.Damage, Kind: "container", ID: "0123456789012345", Driver: "vfs", Problem: "no"},
	} {
		if got := line(f); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
