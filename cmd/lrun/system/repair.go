package system

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/rootfs/check"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/snapshot"
)

// repair unpacks the damaged layers among found again, parents first, and says what became of each.
func repair(ctx context.Context, e *env.Env, w io.Writer, found []check.Finding) error {
	return e.EachDriver(func(driver string, store *rootfs.Store) error {
		depths := map[string]int{}
		for _, f := range found {
			if f.Kind == "layer" && f.Severity == check.Damage && f.Driver == driver {
				chain, err := store.Snapshots.Chain(ctx, f.ID)
				if err != nil {
					continue // its record is damaged too, which was told
				}
				depths[f.ID] = len(chain)
			}
		}
		var keys []string
		for key := range depths {
			keys = append(keys, key)
		}
		slices.SortFunc(keys, func(a, b string) int { return depths[a] - depths[b] })
		for _, key := range keys {
			said := "repaired: layer %s (%s)\n"
			args := []any{format.ShortID(key), driver}
			if err := remake(ctx, e, store, key); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				said, args = "not repaired: layer %s (%s): %s\n", append(args, format.Visible(err.Error()))
			}
			if _, err := fmt.Fprintf(w, said, args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// remake unpacks one layer again while no container runs on it.
func remake(ctx context.Context, e *env.Env, store *rootfs.Store, key string) error {
	var claims []*runtime.Claim
	err := store.Remake(ctx, key, func() (err error) {
		if store.Snapshots.Rebases() { // else containers have copies of their own
			claims, err = hold(ctx, e, store.Snapshots, key)
		}
		return err
	})
	for _, c := range claims {
		err = errors.Join(err, c.Close())
	}
	return err
}

// hold claims all containers that stand on the layer key, so that none starts, or fails when one runs. The root is
// locked, so that there will be no more of them.
func hold(ctx context.Context, e *env.Env, snapshots *snapshot.Store, key string) ([]*runtime.Claim, error) {
	layer, err := snapshots.Stat(ctx, key)
	if err != nil {
		return nil, err
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
	var claims []*runtime.Claim
	for _, id := range on {
		if err == nil {
			err = idle(e, id)
		}
		if err == nil {
			var c *runtime.Claim
			if c, err = e.Runtime().Claim(id); err == nil {
				claims = append(claims, c)
			}
		}
	}
	return claims, err
}

// idle fails when the container id runs, or is being changed.
func idle(e *env.Env, id string) error {
	st, err := e.Runtime().State(id)
	if err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	if (recorded{e}).Busy(id) || st.Status == runtime.Running {
		return fmt.Errorf("container %s runs on it: stop it, then run lrun fsck --repair again: %w", format.ShortID(id), errdefs.ErrFailedPrecondition)
	}
	return nil
}
