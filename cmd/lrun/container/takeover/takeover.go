// Package takeover takes a container or its name, from whoever runs, starts or removes it or from nobody.
package takeover

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/runtime/launch/program"
)

// Claim is store.Claim that ends what runs in the container, or is being started there, so that whoever does that lets go.
func Claim(ctx context.Context, store *runtime.Store, c runtime.Container) (*runtime.Claim, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		if err := store.Kill(c.ID); err != nil && !errors.Is(err, unix.ESRCH) {
			return nil, err
		}
		claim, err := store.TryClaim(c.ID)
		if !errors.Is(err, flock.ErrBusy) {
			return claim, err
		}
		if st, err := store.State(c.ID); err == nil && st.Status != runtime.Running && c.Runtime != "" {
			if err := program.EndLeft(c.ID, store.External()); err != nil {
				return nil, err
			}
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}
