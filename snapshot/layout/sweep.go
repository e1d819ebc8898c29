package layout

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/lrun-dev/lrun/internal/tree"
)

// Sweep goes on with deletions in the store dir whose process is gone.
func Sweep(ctx context.Context, dir string) error {
	dir = filepath.Join(dir, "staging")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if e.IsDir() {
			errs = append(errs, tree.Reap(ctx, filepath.Join(dir, e.Name()), ""))
		}
	}
	return errors.Join(errs...)
}
