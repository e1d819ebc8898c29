package chain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/lrun-dev/lrun/layer"
	"github.com/lrun-dev/lrun/layer/manifest"
	"github.com/lrun-dev/lrun/overlay"
	"github.com/lrun-dev/lrun/snapshot"
)

// unpackApart unpacks every layer that has no donor, several at once, each into an active
// snapshot without parent.
func (u *session) unpackApart(ctx context.Context) error {
	first := map[digest.Digest]*step{}
	var once []*step
	for _, st := range u.plan.steps {
		switch {
		case st.donor != "":
			u.report.send(st.event(Shared))
		case first[st.diffID] == nil:
			first[st.diffID] = st
			once = append(once, st)
		}
	}
	if err := u.unpackEach(ctx, once); err != nil {
		return err
	}
	var again []*step
	for _, st := range u.plan.steps {
		if st.donor != "" || st.tree != nil {
			continue
		}
		if f := first[st.diffID]; f.tree.applied.Needs.Empty() {
			st.like = f
			u.report.send(st.event(Shared))
		} else {
			again = append(again, st)
		}
	}
	return u.unpackEach(ctx, again)
}

// unpackEach unpacks the layers of steps at the same time, as many as there are CPUs.
func (u *session) unpackEach(ctx context.Context, steps []*step) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, st := range bySize(steps) {
		key := u.nextKey()
		g.Go(func() error {
			err := u.unpack(ctx, st, key, "", overlay.Whiteouts{})
			if err != nil {
				return fmt.Errorf("unpack %s: %w", st, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// unpackInOrder unpacks the layers one after the other, each on a copy of those below, for a
// driver that copies. A layer must be committed before the next can stand on it; the label of the
// session says that its image is not published yet.
func (u *session) unpackInOrder(ctx context.Context) error {
	for _, st := range u.plan.steps {
		err := u.unpack(ctx, st, u.nextKey(), st.parent, nil)
		if err == nil {
			err = u.writeManifest(ctx, st.tree)
		}
		if err == nil {
			err = st.tree.weigh(ctx)
		}
		if err == nil {
			err = u.commit(ctx, st)
		}
		if err != nil {
			return fmt.Errorf("unpack %s: %w", st, err)
		}
	}
	return nil
}

// unpack unpacks one layer into the new active snapshot key and verifies it. whiteouts is nil when
// the snapshot holds all that is below. The snapshot need not survive a crash: only what is synced
// is committed.
func (u *session) unpack(ctx context.Context, st *step, key, parent string, whiteouts layer.Whiteouts) (err error) {
	if err := ctx.Err(); err != nil { // another layer has failed
		return err
	}
	if _, err := u.snapshots.Prepare(ctx, key, parent, snapshot.WithVolatile()); err != nil {
		return err
	}
	path, err := u.snapshots.Path(ctx, key)
	if err != nil {
		return err
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	if parent == "" && whiteouts == nil {
		// As layer.Settle has it: a root directory that no layer names is the same whenever it is made.
		if err := os.Chtimes(path, time.Time{}, time.Unix(0, 0)); err != nil {
			return err
		}
	}
	blob, err := st.source.Open(st.layer)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	watched := &watchedReader{Reader: blob, reporter: u.report, event: st.event(Unpacking)}
	sums := &manifest.Sums{}
	applied, err := applyBlob(ctx, dir, watched, layer.ApplyOptions{Whiteouts: whiteouts, Sums: sums})
	if err != nil {
		return err
	}
	if err := st.verify(applied.DiffID); err != nil {
		return err
	}
	st.tree = &tree{key: key, dir: path, applied: applied, sums: sums}
	done := st.event(Done)
	done.Read, done.Unpacked = watched.event.Read, applied.Size
	u.report.send(done)
	return nil
}

// applyBlob unpacks a blob, decompressed as its first bytes say.
func applyBlob(ctx context.Context, dir *os.File, blob io.Reader, o layer.ApplyOptions) (layer.Applied, error) {
	tar, _, err := layer.Decompress(blob)
	if err != nil {
		return layer.Applied{}, err
	}
	applied, err := layer.Apply(ctx, dir, tar, o)
	return applied, errors.Join(err, tar.Close())
}
