package chain

import (
	"context"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	disk "github.com/lrun-dev/lrun/internal/tree"
)

// weighAll counts what the layers that were unpacked take on disk, several at once, so that nobody has to do it again. They are
// synced: before that a filesystem may not know.
func (u *session) weighAll(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, st := range bySize(u.plan.steps) {
		if st.tree != nil {
			g.Go(func() error { return st.tree.weigh(ctx) })
		}
	}
	return g.Wait()
}

// weigh counts what t takes on disk, with its manifest and all else that is beside it.
func (t *tree) weigh(ctx context.Context) (err error) {
	t.disk, err = disk.Allocated(ctx, filepath.Dir(t.dir))
	return err
}
