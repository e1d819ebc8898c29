// Package stop holds the command that ends containers as they wish to be ended.
package stop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/signal"
	"github.com/lrun-dev/lrun/runtime"
)

const (
	defaultTimeout = 10   // seconds, Docker's
	asTheContainer = -100 // --timeout was not given
	afterKill      = 30 * time.Second
)

type options struct {
	signal  string
	timeout int
}

// Command is stop. sweep puts right what killed processes left.
func Command(e *env.Env, sweep func(context.Context, *env.Env) error) *cli.Command {
	var o options
	return &cli.Command{
		Usage:     "end running containers: ask first, kill when they do not",
		ArgsUsage: "CONTAINER...",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "signal", Aliases: []string{"s"}, Usage: "ask with `SIGNAL`, a name or a number", DefaultText: "the container's, else TERM", Destination: &o.signal},
			&cli.IntFlag{
				Name: "timeout", Aliases: []string{"t", "time"}, Usage: "kill after `SECONDS`; -1 waits for ever", Value: asTheContainer,
				DefaultText: "the container's, else 10", Destination: &o.timeout,
			},
		},
		Action: func(c *cli.Context) error {
			if err := sweep(c.Context, e); err != nil {
				return err
			}
			return stopAll(c.Context, e, o, c.Args().Slice())
		},
	}
}

// stopAll stops containers at the same time and prints the name of each that has ended, in their order.
func stopAll(ctx context.Context, e *env.Env, o options, names []string) error {
	if o.timeout < -1 && o.timeout != asTheContainer {
		return fmt.Errorf("--timeout %d: give seconds, or -1 to wait for ever: %w", o.timeout, errdefs.ErrInvalidArgument)
	}
	if o.signal != "" {
		if _, err := signal.Parse(o.signal); err != nil {
			return err
		}
	}
	results := make([]chan error, len(names))
	for i, name := range names {
		results[i] = make(chan error, 1)
		go func() { results[i] <- stopOne(ctx, e.Runtime(), o, name) }()
	}
	var errs []error
	for i, name := range names {
		err := <-results[i]
		if err == nil {
			_, err = fmt.Fprintln(e.Out, name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// stopOne returns when a container has ended and that is recorded. One that does not run is no error.
func stopOne(ctx context.Context, store *runtime.Store, o options, name string) error {
	c, err := store.Resolve(name)
	if err != nil {
		return err
	}
	word := first(o.signal, c.Settings.StopSignal, "TERM")
	number, err := signal.Parse(word)
	if err != nil {
		return fmt.Errorf("stop container %s: %w; its image asks for that one: give another with --signal", name, err)
	}
	patience := patienceOf(c, o)
	if err := awaitStart(ctx, store, c.ID, name, patience); err != nil {
		return err
	}
	if err := store.Signal(c.ID, number); err != nil {
		return unlessEnded(name, err)
	}
	if ended, err := wait(ctx, store, c.ID, patience); ended || err != nil {
		return err
	}
	if err := store.Signal(c.ID, unix.SIGKILL); err != nil {
		return unlessEnded(name, err)
	}
	ended, err := wait(ctx, store, c.ID, afterKill)
	if err == nil && !ended {
		err = fmt.Errorf("stop container %s: it does not die: %w", name, errdefs.ErrFailedPrecondition)
	}
	return err
}

// patienceOf is how long a container may take; for ever, if that is negative.
func patienceOf(c runtime.Container, o options) time.Duration {
	seconds := o.timeout
	if seconds == asTheContainer {
		seconds = defaultTimeout
		if c.Settings.StopTimeout != nil {
			seconds = *c.Settings.StopTimeout
		}
	}
	return time.Duration(seconds) * time.Second
}

// awaitStart waits while a container is being started: there is no program yet that could be asked.
func awaitStart(ctx context.Context, store *runtime.Store, id, name string, patience time.Duration) error {
	for deadline := time.Now().Add(patience); ; {
		if st, err := store.State(id); err != nil || st.Status != runtime.Created || !store.Watched(id) {
			return nil //nolint:nilerr // whoever signals it is told
		}
		if patience >= 0 && time.Now().After(deadline) {
			return fmt.Errorf("stop container %s: it is still being started; lrun rm -f ends that: %w", name, errdefs.ErrFailedPrecondition)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func unlessEnded(name string, err error) error {
	if errors.Is(err, errdefs.ErrFailedPrecondition) || errors.Is(err, errdefs.ErrNotFound) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	return fmt.Errorf("stop container %s: %w", name, err)
}

// wait waits until a container runs no more, at most for patience if that is not negative.
func wait(ctx context.Context, store *runtime.Store, id string, patience time.Duration) (ended bool, err error) {
	deadline := time.Now().Add(patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		st, err := store.State(id)
		switch {
		case errors.Is(err, errdefs.ErrNotFound):
			return true, nil // it went with its end
		case err != nil:
			return false, err
		case st.Status != runtime.Running:
			return true, nil
		}
		if patience >= 0 && time.Now().After(deadline) {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

func first(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}
