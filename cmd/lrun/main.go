package main

import (
	"context"
	"os"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/command"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/system"
)

func main() {
	os.Exit(app(env.New()).Main(context.Background(), os.Args))
}

// app is lrun's command line. Its groups are the one table of all commands.
func app(e *env.Env) *command.App {
	return &command.App{
		Name:    "lrun",
		Usage:   "run containers from image layers on overlayfs, without a daemon",
		Version: system.Banner,
		Env:     e,
		Groups: []command.Group{
			system.Group(),
		},
		Refused:      refused(),
		RefusedFlags: refusedFlags(),
	}
}
