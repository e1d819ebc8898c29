package container

import (
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/image/builtin"
)

// helloCommand is the program of the built-in image @hello: lrun itself, inside the container.
func helloCommand(e *env.Env) *cli.Command {
	return &cli.Command{
		Usage:  "show what this container sees (the program of @hello)",
		Action: func(*cli.Context) error { return builtin.Main(e.Out, "/") },
	}
}
