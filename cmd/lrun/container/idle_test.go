package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/internal/boot"
	"github.com/lrun-dev/lrun/internal/procstat"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// surroundings are those of a new root.
func surroundings(t *testing.T) *env.Env {
	t.Helper()
	testutil.RequireRoot(t)
	dir := t.TempDir()
	e := env.With(strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{})
	app := &cli.App{Flags: e.Flags(), Action: func(*cli.Context) error { return nil }}
	if err := app.Run([]string{"lrun", "--root", filepath.Join(dir, "root"), "--state", filepath.Join(dir, "state")}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Images(); err != nil {
		t.Fatal(err)
	}
	return e
}

// held records a container named web, whose claim it returns.
func held(t *testing.T, e *env.Env) *runtime.Claim {
	t.Helper()
	c := runtime.Container{ID: runtime.NewID(), Name: "web", Settings: spec.Settings{Args: []string{"true"}}}
	claim, err := containers(e).Claim(t.Context(), c.ID)
	if err == nil {
		err = containers(e).Create(claim, c)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = claim.Close() })
	return claim
}

// recordRunning writes that this process is the program of the container.
func recordRunning(t *testing.T, e *env.Env, id string) {
	t.Helper()
	self, err := procstat.Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	boot, err := boot.ID()
	if err != nil {
		t.Fatal(err)
	}
	state := fmt.Sprintf(`{"status":"running","pid":%d,"pidStart":%d,"bootID":%q}`, os.Getpid(), self.Start, boot)
	if err := os.WriteFile(filepath.Join(containers(e).Dir(id), "state.json"), []byte(state), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Who comes while a container is being started is told that it runs, and does not wait until its program has ended.
func TestContainerThatIsBeingStarted(t *testing.T) {
	for name, run := range map[string]func(context.Context, *env.Env) error{
		"start": func(ctx context.Context, e *env.Env) error {
			return runStart(ctx, e, startOptions{attach: true}, "web")
		},
		"rm": func(ctx context.Context, e *env.Env) error {
			return runRemove(ctx, e, removeOptions{}, []string{"web"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := surroundings(t)
			claim := held(t, e)
			ctx, cancel := context.WithTimeout(t.Context(), testutil.Patience(5*time.Second))
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- run(ctx, e) }()
			select {
			case err := <-done:
				t.Fatalf("before it runs: %v", err)
			case <-time.After(200 * time.Millisecond):
			}
			recordRunning(t, e, claim.ID)
			if err := <-done; !errors.Is(err, errdefs.ErrFailedPrecondition) || !strings.Contains(err.Error(), "running") {
				t.Errorf("got %v, want that it is running", err)
			}
			if _, err := containers(e).Get(claim.ID); err != nil {
				t.Errorf("it is gone: %v", err)
			}
		})
	}
}

// A wait for who changes a container ends with the command.
func TestWaitForAContainerEndsWithTheCommand(t *testing.T) {
	e := surroundings(t)
	held(t, e)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := runRemove(ctx, e, removeOptions{}, []string{"web"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the cause of the context", err)
	}
}
