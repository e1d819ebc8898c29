package container

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/runtime"
)

type killOptions struct{ signal string }

func killCommand(e *env.Env) *cli.Command {
	var o killOptions
	return &cli.Command{
		Usage:     "send a signal to the first process of running containers",
		ArgsUsage: "CONTAINER...",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "signal", Aliases: []string{"s"}, Usage: "send `SIGNAL`, a name or a number", Value: "KILL", Destination: &o.signal},
		},
		Action: func(c *cli.Context) error { return runKill(c.Context, e, o, c.Args().Slice()) },
	}
}

func runKill(ctx context.Context, e *env.Env, o killOptions, names []string) error {
	signal, err := parseSignal(o.signal)
	if err != nil {
		return err
	}
	if err := sweep(ctx, e); err != nil {
		return err
	}
	return forEach(e, names, func(name string, c runtime.Container) error {
		if err := containers(e).Signal(c.ID, signal); err != nil {
			return fmt.Errorf("kill container %s: %w", name, err)
		}
		return nil
	})
}

// parseSignal reads a signal's name, with or without SIG, or its number.
func parseSignal(s string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil && n > 0 && n < 65 {
		return syscall.Signal(n), nil
	}
	name := "SIG" + strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if n := unix.SignalNum(name); n != 0 {
		return n, nil
	}
	var offset int
	if _, err := fmt.Sscanf(name, "SIGRTMIN+%d", &offset); err == nil && offset >= 0 && offset <= 30 {
		return syscall.Signal(34 + offset), nil
	}
	return 0, fmt.Errorf("signal %q: there is none of that name: %w", s, errdefs.ErrInvalidArgument)
}

// forEach does work on each named container and prints the name of each that went well. One that fails
// does not stop the others.
func forEach(e *env.Env, names []string, work func(name string, c runtime.Container) error) error {
	var errs []error
	for _, name := range names {
		c, err := containers(e).Resolve(name)
		if err == nil {
			err = work(name, c)
		}
		if err == nil {
			_, err = fmt.Fprintln(e.Out, name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
