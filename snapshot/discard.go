package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lrun-dev/lrun/internal/flock"
)

// Discard deletes the directory id in dataDir the way a Driver has to: it is gone from there at
// once, by a rename into the directory staging beside dataDir, and then its files are deleted. A
// crash leaves the rest for Sweep. What is gone is no error, and what another process is deleting is
// left to that. For the files the rules of RemoveTree hold.
func Discard(ctx context.Context, dataDir, id string) error {
	return reap(ctx, filepath.Join(dataDir, id), filepath.Join(filepath.Dir(dataDir), "staging", id))
}

// reap locks the directory path, moves it to aside unless that is empty, and deletes it.
func reap(ctx context.Context, path, aside string) (err error) {
	l, err := flock.TryExclusive(path)
	if isGone(err) || errors.Is(err, flock.ErrBusy) {
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
	return RemoveTree(ctx, path)
}

// RemoveTree deletes the directory path and all below it.
func RemoveTree(ctx context.Context, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("remove tree %q: %w", path, err)
	}
	return nil
}
