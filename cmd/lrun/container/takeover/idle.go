package takeover

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/runtime"
)

// patience is how long is waited for the end of what a killed lrun has left.
const patience = 15 * time.Second

// Idle is store.Claim of a container that does not run. It waits for who changes it, but not for its program: of one that runs,
// also one that was being started when the wait began, it returns the error running. What is left of one whose lrun was killed
// is ended by sweep, or by another sweep, for which it waits.
func Idle(ctx context.Context, store *runtime.Store, id string, sweep func() error, running error) (*runtime.Claim, error) {
	deadline := time.Now().Add(patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		st, err := store.State(id)
		if err != nil && !errdefs.IsNotFound(err) { // one that is being removed is waited for, too
			return nil, err
		}
		if err == nil && st.Status == runtime.Running {
			if !st.Deserted() || time.Now().After(deadline) {
				return nil, running
			}
			if err := sweep(); err != nil {
				return nil, err
			}
		} else if claim, err := store.TryClaim(id); !errors.Is(err, flock.ErrBusy) {
			return claim, err
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// sleep waits, unless ctx ends before.
func sleep(ctx context.Context, pause time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pause):
		return nil
	}
}
