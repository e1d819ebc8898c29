package snapshot

import (
	"context"
	"path/filepath"

	"github.com/lrun-dev/lrun/internal/tree"
)

// Discard deletes the directory id in dataDir the way a Driver has to: it is gone from there at
// once, by a rename into the directory staging beside dataDir, and then its files are deleted. A
// crash leaves the rest for Sweep. What is gone is no error, and what another process is deleting is left
// to that. It follows no symbolic link; where something is mounted it deletes nothing and returns an
// errdefs.ErrFailedPrecondition.
func Discard(ctx context.Context, dataDir, id string) error {
	return tree.Reap(ctx, filepath.Join(dataDir, id), filepath.Join(filepath.Dir(dataDir), "staging", id))
}
