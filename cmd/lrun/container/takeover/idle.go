package takeover

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/runtime"
)

// Idle is store.Claim of a container that does not run. It waits for who changes it, but not for its program: of one that runs,
// also one that was being started when the wait began, it returns the error running.
func Idle(ctx context.Context, store *runtime.Store, id string, running error) (*runtime.Claim, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		st, err := store.State(id)
		if err != nil && !errdefs.IsNotFound(err) { // one that is being removed is waited for, too
			return nil, err
		}
		if err == nil && st.Status == runtime.Running {
			return nil, running
		}
		claim, err := store.TryClaim(id)
		if !errors.Is(err, flock.ErrBusy) {
			return claim, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}
