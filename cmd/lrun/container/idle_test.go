package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/container/takeover"
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

// recordRunning writes that this process is the program of the container, and which lrun started it.
func recordRunning(t *testing.T, e *env.Env, id string, lrun int) {
	t.Helper()
	self, err := procstat.Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	boot, err := boot.ID()
	if err != nil {
		t.Fatal(err)
	}
	state := fmt.Sprintf(`{"status":"running","pid":%d,"pidStart":%d,"lrunPid":%d,"bootID":%q}`, os.Getpid(), self.Start, lrun, boot)
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
			recordRunning(t, e, claim.ID, os.Getpid())
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

// A name is waited for whose container a sweep is deleting.
func TestNameOfAContainerThatIsBeingSwept(t *testing.T) {
	e := surroundings(t)
	store := containers(e)
	old := runtime.Container{ID: runtime.NewID(), Name: "web", Remove: true, Settings: spec.Settings{Args: []string{"true"}}}
	sweeping, err := store.Claim(t.Context(), old.ID)
	if err == nil {
		err = store.Create(sweeping, old)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := runtime.Container{ID: runtime.NewID(), Name: "web", Remove: true, Settings: spec.Settings{Args: []string{"true"}}}
	claim, err := store.Claim(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Close()
	done := make(chan error, 1)
	go func() {
		done <- takeover.Record(t.Context(), store, claim, &c, func() error { return sweep(t.Context(), e) })
	}()
	select {
	case err := <-done:
		t.Fatalf("while the name is taken: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	err = store.Delete(t.Context(), old.ID, func(context.Context, string) error { return nil })
	if err := errors.Join(sweeping.Done(err), <-done); err != nil {
		t.Fatal(err)
	}
	if found, err := store.Resolve("web"); err != nil || found.ID != c.ID {
		t.Errorf("the name leads to %s, %v", found.ID, err)
	}
}

// What a killed lrun has left of a container is ended before that is started again.
func TestContainerWhoseProgramOutlivesItsLrun(t *testing.T) {
	e := surroundings(t)
	claim := held(t, e)
	gone := exec.CommandContext(t.Context(), "true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	recordRunning(t, e, claim.ID, gone.Process.Pid)
	swept := 0
	got, err := takeover.Idle(t.Context(), containers(e), claim.ID, func() error {
		if swept++; swept < 3 { // another sweep is at it
			return nil
		}
		return errors.Join(os.WriteFile(filepath.Join(containers(e).Dir(claim.ID), "state.json"), []byte(`{"status":"exited"}`), 0o600), claim.Close())
	}, errors.New("it runs"))
	if err != nil || swept != 3 {
		t.Fatalf("after %d sweeps: %v", swept, err)
	}
	if err := got.Close(); err != nil {
		t.Error(err)
	}
}

// rm -f of a container that is just being removed returns when it is gone, and no sooner.
func TestTakeoverOfAContainerThatIsBeingRemoved(t *testing.T) {
	e := surroundings(t)
	claim := held(t, e)
	store := containers(e)
	list, err := store.List()
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	if err := os.RemoveAll(store.Dir(list[0].ID)); err != nil { // its record goes first
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := takeover.Claim(ctx, store, list[0]); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while it is being removed: %v", err)
	}
	if err := claim.Done(nil); err != nil {
		t.Fatal(err)
	}
	mine, err := takeover.Claim(t.Context(), store, list[0])
	if err != nil {
		t.Fatalf("when it is gone: %v", err)
	}
	if err := mine.Done(nil); err != nil {
		t.Error(err)
	}
}
