package hold_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/hold"
	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/overlay"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/snapshot"
	"github.com/lrun-dev/lrun/snapshot/overlayfs"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stand makes a layer and a container on it.
func stand(t *testing.T) (containers *runtime.Store, snapshots *snapshot.Store, layer, id string) {
	testutil.RequireRoot(t)
	dir := t.TempDir()
	snapshots, err := snapshot.Open(dir, overlayfs.New(filepath.Join(dir, "data"), overlay.Probe(dir).Method))
	must(t, err)
	layer, id = "layer", runtime.NewID()
	_, err = snapshots.Prepare(t.Context(), "new", "")
	must(t, err)
	must(t, snapshots.Commit(t.Context(), layer, "new"))
	_, err = snapshots.Prepare(t.Context(), id, layer)
	must(t, err)
	return runtime.Open(filepath.Join(dir, "root"), filepath.Join(dir, "state")), snapshots, layer, id
}

// Who has the claim of a container may wait for the lock that is held here.
func TestOnDoesNotWait(t *testing.T) {
	containers, snapshots, layer, id := stand(t)
	for range 500 {
		stop, got := make(chan struct{}), make(chan *runtime.Claim)
		go func() { // another process, which keeps the claim
			for {
				c, err := containers.TryClaim(id)
				select {
				case <-stop:
					got <- c
					return
				default:
				}
				if err == nil {
					<-stop
					got <- c
					return
				}
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		var h hold.Containers
		err := h.On(ctx, containers, snapshots, layer)
		cancel()
		must(t, h.Close())
		close(stop)
		if c := <-got; c != nil {
			must(t, c.Close())
		}
		if err != nil && !errdefs.IsFailedPrecondition(err) {
			t.Fatal(err)
		}
	}
}

func TestOn(t *testing.T) {
	containers, snapshots, layer, id := stand(t)
	other, err := containers.Claim(t.Context(), id)
	must(t, err)
	var h hold.Containers
	if err := h.On(t.Context(), containers, snapshots, layer); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("a container that somebody else changes: %v", err)
	}
	must(t, other.Close())
	for range 2 {
		must(t, h.On(t.Context(), containers, snapshots, layer))
	}
	if !containers.Watched(id) {
		t.Error("the container is not held")
	}
	must(t, h.Close())
	if containers.Watched(id) {
		t.Error("the container is still held")
	}
}
