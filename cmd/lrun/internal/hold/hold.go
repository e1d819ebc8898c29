// Package hold keeps containers still while the layer that they stand on is replaced.
package hold

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/snapshot"
)

// Containers are those that are held. The zero value holds none.
type Containers struct{ claims []*runtime.Claim }

// On holds all containers that stand on the layer key, so that none starts until Close, or fails with
// errdefs.ErrFailedPrecondition when one runs. Where containers have copies of layers there is nothing to hold. The
// root is locked, so that there will be no more of them.
func (h *Containers) On(ctx context.Context, e *env.Env, snapshots *snapshot.Store, key string) error {
	if !snapshots.Rebases() {
		return nil
	}
	layer, err := snapshots.Stat(ctx, key)
	if err != nil {
		return err
	}
	var on []string
	err = snapshots.Walk(ctx, func(info snapshot.Info) error {
		if info.Kind == snapshot.Committed {
			return nil
		}
		chain, err := snapshots.Chain(ctx, info.Key)
		if slices.ContainsFunc(chain, func(below snapshot.Info) bool { return below.ID == layer.ID }) {
			on = append(on, info.Key)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range on {
		if h.has(id) {
			continue
		}
		if err := idle(e, id); err != nil {
			return err
		}
		c, err := e.Runtime().Claim(ctx, id)
		if err != nil {
			return err
		}
		h.claims = append(h.claims, c)
	}
	return nil
}

func (h *Containers) has(id string) bool {
	return slices.ContainsFunc(h.claims, func(c *runtime.Claim) bool { return c.ID == id })
}

// Close lets all containers go.
func (h *Containers) Close() error {
	var errs []error
	for _, c := range h.claims {
		errs = append(errs, c.Close())
	}
	h.claims = nil
	return errors.Join(errs...)
}

// idle fails when the container id runs, or is being changed.
func idle(e *env.Env, id string) error {
	st, err := e.Runtime().State(id)
	if err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	if Busy(e, id) || st.Status == runtime.Running {
		return fmt.Errorf("container %s runs on it: stop it, then run this command again: %w", format.ShortID(id), errdefs.ErrFailedPrecondition)
	}
	return nil
}

// Busy tells that some process is making, running or removing the container id.
func Busy(e *env.Env, id string) bool {
	l, err := flock.TryExclusive(filepath.Join(e.State(), "active", id))
	if err == nil {
		_ = l.Unlock() // the file stays, for the sweep
	}
	return errors.Is(err, flock.ErrBusy)
}
