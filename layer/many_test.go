package layer_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/lrun-dev/lrun/internal/testutil"
	"github.com/lrun-dev/lrun/layer"
	lt "github.com/lrun-dev/lrun/layer/layertest"
)

// counted counts how often it is asked whether it has ended, which is once for each step of the work.
type counted struct {
	context.Context
	asked atomic.Int64
}

func (c *counted) Err() error {
	c.asked.Add(1)
	return c.Context.Err()
}

// TestManyLinks: hard links that wait for each other, in whatever order, cost no more than a few tries each.
func TestManyLinks(t *testing.T) {
	testutil.RequireRoot(t)
	const n = 400
	order := rand.New(rand.NewPCG(1, 2)).Perm(n)
	for name, target := range map[string]string{"the next": "l%d", "a link below the next": "l%d/s"} {
		entries := make([]lt.Entry, 0, n+2)
		for _, k := range order {
			entries = append(entries, lt.Link(fmt.Sprintf("l%d", k), fmt.Sprintf(target, k+1)))
		}
		tar := lt.Tar(append(entries, lt.Symlink("s", "."), lt.Link(fmt.Sprintf("l%d", n), "s"))...)
		for way, options := range map[string]layer.ApplyOptions{"in place": {}, "alone": onOverlay} {
			t.Run(name+", "+way, func(t *testing.T) {
				dir := openDir(t, tempDir(t))
				ctx := &counted{Context: t.Context()}
				applied, err := layer.Apply(ctx, dir, bytes.NewReader(tar), options)
				must(t, err)
				must(t, layer.Settle(ctx, dir, applied.Needs, nil))
				sameFile(t, dir.Name()+"/l0", dir.Name()+"/s")
				if steps := ctx.asked.Load(); steps > 10*n {
					t.Errorf("%d steps for %d links", steps, n)
				}
			})
		}
	}
}
