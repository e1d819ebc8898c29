package system

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
)

// development is the version of a build that carries none.
const development = "0.1.0-dev"

type versionOptions struct{ format string }

func versionCommand(e *env.Env) *cli.Command {
	var o versionOptions
	return &cli.Command{
		Usage: "show the version of lrun",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "show 'json' or what a Go `TEMPLATE` makes of it", DefaultText: "text", Destination: &o.format},
		},
		Action: func(c *cli.Context) error { return runVersion(c.Context, e, o) },
	}
}

// versionInfo is what `lrun version` knows. To templates that look for Docker's client and server it is both: there is no other.
type versionInfo struct {
	release
	Client release
	Server release
}

type release struct {
	Version   string
	GitCommit string
	BuildTime string
	GoVersion string
	Os        string
	Arch      string
}

func runVersion(_ context.Context, e *env.Env, o versionOptions) error {
	v := about()
	if o.format != "" {
		return format.Value(e.Out, o.format, versionInfo{v, v, v})
	}
	_, err := fmt.Fprintf(e.Out, "lrun:\n Version:    %s\n Go version: %s\n Git commit: %s\n Built:      %s\n OS/Arch:    %s/%s\n",
		v.Version, v.GoVersion, v.GitCommit, v.BuildTime, v.Os, v.Arch)
	return err
}

// Banner is the one line of `lrun --version`.
func Banner() string {
	v := about()
	return fmt.Sprintf("lrun version %s, build %.7s", v.Version, v.GitCommit)
}

// about collects what the Go toolchain has put into the binary.
func about() release {
	v := release{
		Version: development, GitCommit: "unknown", BuildTime: "unknown",
		GoVersion: runtime.Version(), Os: runtime.GOOS, Arch: runtime.GOARCH,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if m := info.Main.Version; m != "" && m != "(devel)" {
		v.Version = strings.TrimPrefix(m, "v")
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			v.GitCommit = s.Value
		case s.Key == "vcs.time":
			v.BuildTime = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			v.GitCommit += "-dirty"
		}
	}
	return v
}
