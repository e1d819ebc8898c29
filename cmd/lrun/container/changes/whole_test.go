package changes

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/runtime"
)

// world is a root with a container that has two files.
type world struct {
	*env.Env

	c   runtime.Container
	out *bytes.Buffer
}

// onEach runs test with each driver.
func onEach(t *testing.T, test func(t *testing.T, w world)) {
	for _, driver := range []string{"overlayfs", "vfs"} {
		t.Run(driver, func(t *testing.T) {
			testutil.RequireRoot(t)
			test(t, newWorld(t, driver))
		})
	}
}

func newWorld(t *testing.T, driver string) world {
	t.Helper()
	var out, errs bytes.Buffer
	e, dir := env.With(strings.NewReader(""), &out, &errs), t.TempDir()
	e.UID = func() int { return 0 }
	app := &cli.App{Flags: e.Flags(), Action: func(*cli.Context) error { return nil }}
	must(t, app.Run([]string{"lrun", "--root", dir + "/root", "--state", dir + "/state", "--driver", driver}))
	c := runtime.Container{ID: strings.Repeat("c0", 32), Name: "web", Driver: driver}
	roots, err := e.Rootfs()
	must(t, err)
	_, err = roots.Snapshots.Prepare(t.Context(), c.ID, "")
	must(t, err)
	path, err := roots.Snapshots.Path(t.Context(), c.ID)
	must(t, err)
	for _, name := range []string{"a", "b"} {
		must(t, os.WriteFile(filepath.Join(path, name), []byte(name), 0o600))
	}
	claim, err := e.Runtime().Claim(t.Context(), c.ID)
	must(t, err)
	must(t, e.Runtime().Create(claim, c))
	must(t, claim.Close())
	return world{e, c, &out}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// release removes the container's files, as rm does.
func (w world) release(t *testing.T) {
	t.Helper()
	roots, err := w.Rootfs()
	must(t, err)
	must(t, roots.Release(context.WithoutCancel(t.Context()), w.c.ID))
}

// hook calls do when it is written to, or asked whether it is done, for the first time after skip others.
type hook struct {
	context.Context

	skip int
	do   func()
}

func (h *hook) once() {
	if h.skip--; h.skip == -1 && h.do != nil {
		h.do()
	}
}

func (h *hook) Write(p []byte) (int, error) {
	h.once()
	return len(p), nil
}

func (h *hook) Err() error {
	h.once()
	return h.Context.Err()
}

func wantRemoved(t *testing.T, err error) {
	t.Helper()
	if !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), "container web was removed while it was read") {
		t.Errorf("got %v", err)
	}
}

// TestCommitOfAContainerThatIsRemoved makes no layer of half of its files.
func TestCommitOfAContainerThatIsRemoved(t *testing.T) {
	onEach(t, func(t *testing.T, w world) {
		must(t, writeLayer(t.Context(), w.Env, w.c, true, &hook{}))
		wantRemoved(t, writeLayer(t.Context(), w.Env, w.c, true, &hook{do: func() { w.release(t) }}))
		wantRemoved(t, writeLayer(t.Context(), w.Env, w.c, false, &hook{})) // before the first file
	})
}

// TestDiffOfAContainerThatIsRemoved lists nothing rather than too little, at whatever moment it happens.
func TestDiffOfAContainerThatIsRemoved(t *testing.T) {
	onEach(t, func(t *testing.T, w world) {
		for skip := 0; ; skip++ {
			w := newWorld(t, w.c.Driver)
			h := &hook{t.Context(), skip, func() { w.release(t) }}
			err := runDiff(h, w.Env, "web")
			if h.skip >= 0 { // nobody asked so often
				if got := w.out.String(); err != nil || got != "A /a\nA /b\n" || skip == 0 {
					t.Errorf("after %d moments: %q, %v", skip, got, err)
				}
				return
			}
			wantRemoved(t, err)
			if w.out.Len() > 0 {
				t.Errorf("moment %d: it wrote %q", skip, w.out)
			}
		}
	})
}

// TestWholeKeepsOtherErrors also when the container was removed: they have another reason.
func TestWholeKeepsOtherErrors(t *testing.T) {
	onEach(t, func(t *testing.T, w world) {
		other := errors.New("no space")
		if err := Whole(t.Context(), w.Env, w.c, func() error { return other }); !errors.Is(err, other) {
			t.Errorf("got %v", err)
		}
		if err := Whole(t.Context(), w.Env, w.c, func() error { return os.ErrNotExist }); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("it is there: %v", err)
		}
		w.release(t)
		if err := Whole(t.Context(), w.Env, w.c, func() error { return other }); !errors.Is(err, other) {
			t.Errorf("removed: %v", err)
		}
		wantRemoved(t, Whole(t.Context(), w.Env, w.c, func() error { return os.ErrNotExist }))
	})
}
