package container

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/runtime/name"
	"github.com/lrun-dev/lrun/snapshot"
)

// sweeper is releaser for a container that was left half made or half deleted: its bytes may have no record. A damaged
// record of another snapshot, beside which nobody knows what is needed, does not keep this one from being gone.
func sweeper(e *env.Env) func(context.Context, string) error {
	return func(ctx context.Context, id string) error {
		if err := releaser(e)(ctx, id); err != nil {
			return err
		}
		return e.EachWhole(func(roots *rootfs.Store) error {
			if err := roots.Snapshots.Sweep(ctx); !errdefs.IsDataLoss(err) {
				return err
			}
			return nil
		})
	}
}

// sweep puts right what killed processes left. It is quick when nothing is left.
func sweep(ctx context.Context, e *env.Env) error {
	if err := e.Privileged(); err != nil {
		return err
	}
	if err := e.Understood(); err != nil {
		return err
	}
	err := suspect(ctx, e)
	if err == nil {
		err = containers(e).Sweep(ctx, sweeper(e))
	}
	if err != nil {
		return fmt.Errorf("put right what a killed lrun left: %w", err)
	}
	return nil
}

// suspect finds, once after a boot, what a power loss has left of containers whose directories it took: they were being made,
// and the claims that say so are gone too.
func suspect(ctx context.Context, e *env.Env) error {
	store := containers(e)
	if store.Swept() {
		return nil
	}
	if _, err := os.Lstat(e.Root()); errors.Is(err, os.ErrNotExist) {
		return nil // nothing can be left, and a sweep makes no root
	}
	err := e.EachWhole(func(roots *rootfs.Store) error {
		err := roots.Snapshots.Walk(ctx, func(info snapshot.Info) error {
			if info.Kind != snapshot.Active || !name.IsID(info.Key) {
				return nil
			}
			return store.Suspect(info.Key)
		})
		if errdefs.IsDataLoss(err) { // fsck tells of it; the others have been seen
			return nil
		}
		return err
	})
	tied, tiedErr := e.Volumes().Tied()
	errs := []error{err, tiedErr}
	for _, id := range tied {
		errs = append(errs, store.Suspect(id))
	}
	return errors.Join(errs...)
}
