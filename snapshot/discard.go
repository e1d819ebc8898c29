package snapshot

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/internal/tree"
)

// Discard deletes the directory id in dataDir the way a Driver has to: it is gone from there at
// once, by a rename into the directory staging beside dataDir, and then its files are deleted. A
// crash leaves the rest for Sweep. What is gone is no error, and what another process is deleting is left
// to that. It follows no symbolic link; where something is mounted it deletes nothing and returns an
// errdefs.ErrFailedPrecondition.
func Discard(ctx context.Context, dataDir, id string) error {
	return reap(ctx, filepath.Join(dataDir, id), filepath.Join(filepath.Dir(dataDir), "staging", id))
}

// reap locks the directory path, moves it to aside unless that is empty, and deletes it. The lock is
// of the directory itself, so that it holds wherever that is.
func reap(ctx context.Context, path, aside string) (err error) {
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
	return tree.Remove(ctx, path)
}
