// The limits of lrun's own cgroup change nothing about how long it lives, so nobody need watch them:
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/lrun-dev/lrun/cmd/lrun/container"
	"github.com/lrun-dev/lrun/cmd/lrun/image"
	"github.com/lrun-dev/lrun/cmd/lrun/inspect"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/command"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/system"
	"github.com/lrun-dev/lrun/cmd/lrun/volume"
	"github.com/lrun-dev/lrun/internal/stack"
	"github.com/lrun-dev/lrun/internal/trace"
	"github.com/lrun-dev/lrun/runtime/reaper"
)

func main() {
	stack.Ensure()
	if filepath.Base(os.Args[0]) == reaper.Name {
		os.Exit(reaper.Main(os.Args[1:]))
	}
	trace.Step("main begins")
	e := env.New()
	expect(e, os.Args)
	os.Exit(app(e).Main(context.Background(), os.Args))
}

// expect gives what every start needs of the machine a lead while the command line is read, where the second word says that
// it will be needed. After global flags or a group's name the command does without.
func expect(e *env.Env, args []string) {
	if len(args) > 1 && (args[1] == "run" || args[1] == "start") {
		e.ExpectStart()
	}
}

// app is lrun's command line. Its groups are the one table of all commands.
func app(e *env.Env) *command.App {
	e.Containers = container.Use{Env: e}
	return &command.App{
		Name:    "lrun",
		Usage:   "run containers from image layers on overlayfs, without a daemon",
		Version: system.Banner,
		Env:     e,
		Groups: []command.Group{
			image.Group(),
			container.Group(),
			volume.Group(),
			system.Group(),
			inspect.Group(containers, image.Inspector, volume.Inspector),
		},
		Refused:      refused(),
		RefusedFlags: refusedFlags(),
	}
}
