// Package use tells what containers use.
package use

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/runtime"
)

// Images is env.Containers.ImageUse.
func Images(_ context.Context, e *env.Env) (func(digest.Digest) (string, bool), error) {
	store := e.Runtime()
	all, err := store.List()
	if err != nil {
		return nil, err
	}
	return func(id digest.Digest) (string, bool) {
		user := ""
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
