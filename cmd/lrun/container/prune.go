package container

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/runtime"
)

// Prune implements env.Containers. Anonymous volumes stay, as with rm.
func (u Use) Prune(ctx context.Context, id string) error {
	store := containers(u.Env)
	claim, err := store.TryClaim(id)
	if err != nil {
		return err
	}
	return claim.Done(u.prune(ctx, store, id))
}

// prune works on a container whose claim we hold.
func (u Use) prune(ctx context.Context, store *runtime.Store, id string) error {
	st, err := store.State(id)
	if err == nil && st.Status == runtime.Running {
		err = fmt.Errorf("container %s is running: %w", id, errdefs.ErrFailedPrecondition)
	}
	if err != nil && !errdefs.IsNotFound(err) { // of one that is half deleted, the rest goes
		return err
	}
	release := releaser(u.Env)
	c, err := store.Get(id)
	whole := u.Env.Whole(c.Driver)
	switch {
	case errors.Is(err, errdefs.ErrNotFound):
		release = sweeper(u.Env)
	case err != nil || whole != nil:
		return errors.Join(err, whole)
	case !c.Remove: // the volumes of one with --rm go with it
		if err := tieVolumes(ctx, u.Env, c, false); err != nil {
			return err
		}
	}
	return store.Delete(ctx, id, release)
}
