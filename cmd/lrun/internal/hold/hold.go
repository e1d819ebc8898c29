// Package hold keeps containers still while the layer that they stand on is replaced.
package hold

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/snapshot"
)

// Containers are those that are held. The zero value holds none.
type Containers struct{ claims []*runtime.Claim }

// On holds all containers that stand on the layer key, so that none starts until Close, or fails with
// errdefs.ErrFailedPrecondition when one runs or is being changed: it does not wait. Where containers have copies of layers there is
// nothing to hold. The root is locked, so that there will be no more of them.
func (h *Containers) On(ctx context.Context, containers *runtime.Store, snapshots *snapshot.Store, key string) error {
	if !snapshots.Rebases() {
		return nil
	}
	on, err := standing(ctx, snapshots, key)
	if err != nil {
		return err
	}
	for _, id := range on {
		if h.has(id) {
			continue
		}
		if err := h.take(containers, id); err != nil {
			return err
		}
	}
	return nil
}

// take holds the container id unless it runs, or somebody else has its claim: who may wait for the root's lock, or keep it as long as
// the container runs.
func (h *Containers) take(containers *runtime.Store, id string) error {
	st, err := containers.State(id) // before the claim is ours, which would count as that of the lrun that runs it
	if err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	if st.Status == runtime.Running {
		return fmt.Errorf("container %s runs on it: stop it, then run this command again: %w", format.ShortID(id), errdefs.ErrFailedPrecondition)
	}
	c, err := containers.TryClaim(id)
	if errdefs.IsFailedPrecondition(err) {
		return fmt.Errorf("container %s runs on it, or is being changed: stop it, then run this command again: %w", format.ShortID(id), errdefs.ErrFailedPrecondition)
	}
	if err == nil {
		h.claims = append(h.claims, c)
	}
	return err
}

// standing returns the keys of those snapshots that may be mounted and stand on the layer key, which need not be there, or on its
// bytes; where another layer is not there, nobody knows what is below, and it may be this one.
func standing(ctx context.Context, snapshots *snapshot.Store, key string) ([]string, error) {
	all := map[string]snapshot.Info{}
	err := snapshots.Walk(ctx, func(info snapshot.Info) error {
		all[info.Key] = info
		return nil
	})
	if err != nil && !errdefs.IsDataLoss(err) {
		return nil, err
	}
	layer, there := all[key]
	var on []string
	for top, info := range all {
		if info.Kind == snapshot.Committed {
			continue
		}
		known := true
		for range len(all) { // as deep as it can be: a circle ends
			if info.Parent == "" || info.Key == key || there && info.ID == layer.ID || !known {
				break
			}
			info, known = all[info.Parent]
		}
		if !known || info.Key == key || there && info.ID == layer.ID {
			on = append(on, top)
		}
	}
	return on, nil
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
