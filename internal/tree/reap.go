package tree

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/lrun-dev/lrun/internal/flock"
)

// Reap locks the directory path, moves it to aside unless that is empty, and removes it as Remove does. What is gone
// is no error, and what somebody else has locked is left to that. The lock is
// of the directory itself, so that it holds wherever that is.
func Reap(ctx context.Context, path, aside string) (err error) {
	l, err := flock.TryExclusive(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, flock.ErrBusy) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Unlock()) }()
	if aside != "" {
		if err := os.Rename(path, aside); err != nil {
			return err
		}
		path = aside
	}
	return Remove(ctx, path)
}
