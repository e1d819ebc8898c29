package takeover

import (
	"context"
	"time"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/runtime"
)

// Record is store.Create, but a name that is about to be free is waited for: its container is being deleted, or its lrun was
// killed at this very moment, so that sweep, or another sweep, deletes it. A container without a name gets one that nobody has,
// nor takes at this moment.
func Record(ctx context.Context, store *runtime.Store, claim *runtime.Claim, c *runtime.Container, sweep func() error) error {
	if c.Name == "" {
		return recordRandom(store, claim, c)
	}
	err := store.Create(claim, *c)
	deadline := time.Now().Add(patience)
	for pause := time.Millisecond; errdefs.IsAlreadyExists(err); pause = min(2*pause, 50*time.Millisecond) {
		going := store.Going(c.Name) && time.Now().Before(deadline)
		if going {
			if err := sweep(); err != nil {
				return err
			}
		}
		err = store.Create(claim, *c) // once more in any case: it may be gone since
		if !going || err == nil {
			return err
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
	return err
}

func recordRandom(store *runtime.Store, claim *runtime.Claim, c *runtime.Container) error {
	for {
		c.Name = store.RandomName()
		if err := store.Create(claim, *c); !errdefs.IsAlreadyExists(err) {
			return err
		}
	}
}
