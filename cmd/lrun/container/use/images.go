// Package use tells what containers use.
package use

import (
	"context"
	"errors"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/runtime/name"
)

// Images is env.Containers.ImageUse.
func Images(ctx context.Context, e *env.Env) (func(digest.Digest) (string, bool), error) {
	store := e.Runtime()
	ids, err := store.IDs() // before the records: one that is made meanwhile is in either
	if err != nil {
		return nil, err
	}
	all, err := store.List()
	if err != nil {
		return nil, err
	}
	made, err := beingMade(ctx, e, ids, all)
	if err != nil {
		return nil, err
	}
	return func(id digest.Digest) (string, bool) {
		user := made[id]
		for _, c := range all {
			if c.ImageID != id.String() {
				continue
			}
			user = c.ID
			if st, err := store.State(c.ID); err == nil && st.Status == runtime.Running {
				return user, true
			}
		}
		return user, false
	}, nil
}

// beingMade names for each image one of those containers ids that have a snapshot and are not among the recorded ones, but for
// what killed processes left.
func beingMade(ctx context.Context, e *env.Env, ids []string, recorded []runtime.Container) (map[digest.Digest]string, error) {
	unrecorded := map[string]bool{}
	for _, id := range ids {
		unrecorded[id] = name.IsID(id)
	}
	for _, c := range recorded {
		delete(unrecorded, c.ID)
	}
	users := map[digest.Digest]string{}
	for id, ok := range unrecorded {
		if !ok || isLeft(e.Runtime(), id) {
			continue
		}
		err := e.EachWhole(func(roots *rootfs.Store) error {
			info, err := roots.Snapshots.Stat(ctx, id)
			if of := info.Labels[rootfs.LabelImage]; err == nil && of != "" {
				users[digest.Digest(of)] = id
			}
			if errdefs.IsNotFound(err) || errdefs.IsDataLoss(err) { // what its record said, the container's own will say
				err = nil
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return users, nil
}

// isLeft tells whether nobody has the container id in his hands, and it has not been recorded a moment ago.
func isLeft(store *runtime.Store, id string) bool {
	if store.Watched(id) {
		return false
	}
	_, err := store.Resolve(id)
	return errors.Is(err, errdefs.ErrNotFound)
}
