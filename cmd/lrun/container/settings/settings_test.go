package settings_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/container/settings"
	"github.com/lrun-dev/lrun/image"
	lruntime "github.com/lrun-dev/lrun/runtime"
)

// describe reads a command line as run does and returns the container that it asks for.
func describe(t testing.TB, im image.Image, line ...string) (lruntime.Container, error) {
	t.Helper()
	var o settings.Options
	var c lruntime.Container
	app := &cli.App{
		Flags: o.Flags(), HideHelp: true, DisableSliceFlagSeparator: true,
		Action: func(ctx *cli.Context) (err error) {
			if err := o.Given(ctx.IsSet); err != nil {
				return err
			}
			args := ctx.Args().Slice()
			if c, err = settings.New(&o, args); err != nil {
				return err
			}
			return settings.Complete(&c, &o, im, args)
		},
	}
	err := app.Run(append([]string{"lrun"}, line...))
	return c, err
}

// A limit that a script has left empty is not the same as none.
func TestEmptyValuesAreRefused(t *testing.T) {
	for _, flag := range []string{"-m", "--memory", "--memory-swap", "--memory-reservation", "--cpus", "--shm-size", "--disk", "--rootfs"} {
		if _, err := describe(t, plainImage(), flag, "", "image"); !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), "is empty: give a value") {
			t.Errorf("%s: %v", flag, err)
		}
	}
	if _, err := describe(t, plainImage(), "--cpuset-cpus", "", "--domainname", "", "image"); err != nil {
		t.Error(err)
	}
}

func plainImage() image.Image {
	im := image.Image{ID: "sha256:0000"}
	im.Config.Platform = ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}
	im.Config.Config = ocispec.ImageConfig{
		Cmd: []string{"sh"}, Env: []string{"PATH=/bin", "A=image"}, WorkingDir: "/srv", User: "web", Labels: map[string]string{"a": "image", "b": "image"},
		StopSignal: "SIGQUIT",
	}
	return im
}

func TestProgram(t *testing.T) {
	withEntrypoint := plainImage()
	withEntrypoint.Config.Config.Entrypoint = []string{"/entry", "-x"}
	for name, c := range map[string]struct {
		image image.Image
		line  []string
		want  string
	}{
		"the image's command":           {plainImage(), []string{"img"}, "sh"},
		"the user's command":            {plainImage(), []string{"img", "ls", "-l"}, "ls -l"},
		"entrypoint and command":        {withEntrypoint, []string{"img"}, "/entry -x sh"},
		"entrypoint, user's command":    {withEntrypoint, []string{"img", "ls"}, "/entry -x ls"},
		"user's entrypoint":             {withEntrypoint, []string{"--entrypoint", "cat", "img"}, "cat"},
		"user's entrypoint and command": {withEntrypoint, []string{"--entrypoint", "cat", "img", "f"}, "cat f"},
		"entrypoint taken away":         {withEntrypoint, []string{"--entrypoint", "", "img", "ls"}, "ls"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := describe(t, c.image, c.line...)
			if err != nil || strings.Join(got.Settings.Args, " ") != c.want {
				t.Errorf("got %q, %v; want %q", got.Settings.Args, err, c.want)
			}
		})
	}
}

func TestImageConfigIsHonoured(t *testing.T) {
	c, err := describe(t, plainImage(), "-e", "A=mine", "--label", "a=mine", "img")
	if err != nil {
		t.Fatal(err)
	}
	s := c.Settings
	if s.Cwd != "/srv" || s.User != "web" || s.StopSignal != "SIGQUIT" || !slices.Equal(s.Env, []string{"PATH=/bin", "A=mine"}) {
		t.Errorf("cwd %s, user %s, signal %s, env %q", s.Cwd, s.User, s.StopSignal, s.Env)
	}
	if c.Labels["a"] != "mine" || c.Labels["b"] != "image" || c.Image != "img" || c.ImageID != "sha256:0000" {
		t.Errorf("labels %v, image %s %s", c.Labels, c.Image, c.ImageID)
	}
	if s.Hostname != c.ID[:12] || c.Network != "none" || s.HostNetwork {
		t.Errorf("host name %s, network %s", s.Hostname, c.Network)
	}
	c, err = describe(t, plainImage(), "-w", "/w", "-u", "0:5", "--hostname", "box", "--network", "host", "img")
	if err != nil || c.Settings.Cwd != "/w" || c.Settings.User != "0:5" || c.Settings.Hostname != "box" || !c.Settings.HostNetwork {
		t.Errorf("got %+v, %v", c.Settings, err)
	}
}

func TestEnvironmentFiles(t *testing.T) {
	t.Setenv("OWN", "from lrun")
	file := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(file, []byte("\ufeff# comment\n\nB=from file\r\nOWN\nNOWHERE\nC= spaces kept \nA=file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := describe(t, plainImage(), "--env-file", file, "-e", "B=flag", "-e", "X=a,b", "img")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(c.Settings.Env, "|"), "PATH=/bin|A=file|B=flag|OWN=from lrun|C= spaces kept |X=a,b"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRefusals(t *testing.T) {
	foreign := plainImage()
	foreign.Config.Architecture = "s390x"
	windows := plainImage()
	windows.Config.OS = "windows"
	empty := plainImage()
	empty.Config.Config.Cmd = nil
	for name, c := range map[string]struct {
		image image.Image
		line  []string
		class error
		words string
	}{
		"another architecture":   {foreign, []string{"img"}, errdefs.ErrNotImplemented, "linux/s390x"},
		"another system":         {windows, []string{"img"}, errdefs.ErrNotImplemented, "windows/"},
		"not the platform asked": {plainImage(), []string{"--platform", "linux/s390x", "img"}, errdefs.ErrInvalidArgument, "--platform linux/s390x"},
		"no command":             {empty, []string{"img"}, errdefs.ErrInvalidArgument, "no command"},
		"relative directory":     {plainImage(), []string{"-w", "srv", "img"}, errdefs.ErrInvalidArgument, "absolute path"},
		"bad name":               {plainImage(), []string{"--name", "-x", "img"}, errdefs.ErrInvalidArgument, "[a-zA-Z0-9]"},
		"bridge":                 {plainImage(), []string{"--network", "bridge", "img"}, errdefs.ErrNotImplemented, "none, host and container:NAME"},
		"long host name":         {plainImage(), []string{"--hostname", strings.Repeat("x", 64), "img"}, errdefs.ErrInvalidArgument, "63"},
		"nameless variable":      {plainImage(), []string{"-e", "=x", "img"}, errdefs.ErrInvalidArgument, "NAME=VALUE"},
		"nameless label":         {plainImage(), []string{"-l", "=x", "img"}, errdefs.ErrInvalidArgument, "label"},
		"no environment file":    {plainImage(), []string{"--env-file", "/no/such", "img"}, os.ErrNotExist, "/no/such"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := describe(t, c.image, c.line...)
			if !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v, want %v with %q", err, c.class, c.words)
			}
		})
	}
}

func TestUpperCasePlatform(t *testing.T) {
	im := plainImage()
	im.Config.OS, im.Config.Architecture = "Linux", strings.ToUpper(runtime.GOARCH)
	for _, line := range [][]string{{"img"}, {"--platform", "linux/" + runtime.GOARCH, "img"}, {"--platform", "linux", "img"}} {
		if _, err := describe(t, im, line...); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestPlatformIsRunByAnyOfItsNames(t *testing.T) {
	names := map[string][]string{"amd64": {"amd64", "x86_64", "AMD64", "386", "i686"}, "arm64": {"arm64", "aarch64"}}[runtime.GOARCH]
	if names == nil {
		t.Fatalf("no names of %s", runtime.GOARCH)
	}
	im := plainImage()
	for _, name := range names {
		im.Config.Architecture = name
		if _, err := describe(t, im, "img"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"s390x", "ppc64le", "x86_65", "mips"} {
		im.Config.Architecture = name
		if _, err := describe(t, im, "img"); err == nil {
			t.Errorf("%s runs on %s", name, runtime.GOARCH)
		}
	}
}

// What an image says that it is for puts no line of its own into a message.
func TestPlatformIsOneLine(t *testing.T) {
	im := plainImage()
	im.Config.Architecture = "arm\nlrun: all is well"
	for _, line := range [][]string{{"img"}, {"--platform", "linux/" + runtime.GOARCH, "img"}} {
		if _, err := describe(t, im, line...); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v", line, err)
		}
	}
}

func TestRefusedFlagsAreNotFlags(t *testing.T) {
	var o settings.Options
	have := map[string]bool{}
	for _, f := range o.Flags() {
		for _, name := range f.Names() {
			have[name] = true
		}
	}
	for name, advice := range settings.Refused() {
		if have[name] {
			t.Errorf("--%s is both a flag and refused", name)
		}
		if len(advice) < 10 {
			t.Errorf("--%s: %q does not say what to do", name, advice)
		}
	}
}

func TestMountsAreReadBeforeTheImage(t *testing.T) {
	im := plainImage()
	im.Config.Config.Cmd, im.Config.Config.Entrypoint = nil, nil
	for flag, want := range map[string]string{"--mount=type=nonsense,dst=/x": "nonsense", "-v=:": "-v", "--tmpfs=x": "--tmpfs", "--volumes-from=:": "--volumes-from"} {
		if _, err := describe(t, im, flag, "img"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", flag, err)
		}
	}
}
