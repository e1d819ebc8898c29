package use

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/snapshot"
)

// open opens the root in dir as a process with the given driver would.
func open(t *testing.T, dir, driver string) *env.Env {
	t.Helper()
	var out, errs bytes.Buffer
	e := env.With(strings.NewReader(""), &out, &errs)
	e.UID = func() int { return 0 }
	app := &cli.App{Flags: e.Flags(), Action: func(*cli.Context) error { return nil }}
	must(t, app.Run([]string{"lrun", "--root", dir + "/root", "--state", dir + "/state", "--driver", driver}))
	return e
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestImagesOfAContainerThatIsMade has a container made step by step, with another driver than that of who asks.
func TestImagesOfAContainerThatIsMade(t *testing.T) {
	testutil.RequireRoot(t)
	dir := t.TempDir()
	e, asks := open(t, dir, "vfs"), open(t, dir, "overlayfs")
	im := digest.FromString("image")
	c := runtime.Container{ID: strings.Repeat("c0", 32), Name: "web", Driver: "vfs", ImageID: im.String()}
	want := func(step, user string) {
		t.Helper()
		use, err := Images(t.Context(), asks)
		must(t, err)
		if got, running := use(im); got != user || running {
			t.Errorf("%s: used by %q, running %v; want %q", step, got, running, user)
		}
		if got, _ := use(digest.FromString("other")); got != "" {
			t.Errorf("%s: another image is used by %q", step, got)
		}
	}
	want("nothing", "")
	claim, err := e.Runtime().Claim(t.Context(), c.ID)
	must(t, err)
	want("claimed", "")
	roots, err := e.Rootfs()
	must(t, err)
	_, err = roots.Snapshots.Prepare(t.Context(), c.ID, "", snapshot.WithLabels(map[string]string{rootfs.LabelImage: im.String()}))
	must(t, err)
	want("prepared", c.ID)
	_ = claim.Done(context.Canceled) // as if its maker had been killed
	want("left", "")
	claim, err = e.Runtime().Claim(t.Context(), c.ID)
	must(t, err)
	must(t, e.Runtime().Create(claim, c))
	want("recorded", c.ID)
	must(t, claim.Close())
	want("made", c.ID)
}
