package chain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/lrun-dev/lrun/layer/manifest"
)

// Manifest begins to read the manifest of the committed snapshot key, which the caller closes. A snapshot that is not
// there, and one that was made without a manifest, are errdefs.ErrNotFound. What a driver that copies has is of the
// kind manifest.Changes, and describes what the layer changed in the tree of its parents.
func (m *Maker) Manifest(ctx context.Context, key string) (*manifest.Reader, error) {
	path, err := m.snapshots.ManifestPath(ctx, key)
	if err != nil {
		return nil, err
	}
	r, err := manifest.Open(path)
	if err != nil {
		return nil, fmt.Errorf("manifest of snapshot %q: %w", key, err)
	}
	return r, nil
}

// writeManifests writes the manifests of all layers that were unpacked, which are settled, several at once.
func (u *session) writeManifests(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, st := range bySize(u.plan.steps) {
		if st.tree == nil {
			continue
		}
		g.Go(func() error {
			if err := u.writeManifest(ctx, st.tree); err != nil {
				return fmt.Errorf("write manifest of %s: %w", st, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// writeManifest writes down what t now holds. It becomes durable with what it describes.
func (u *session) writeManifest(ctx context.Context, t *tree) (err error) {
	path, err := u.snapshots.ManifestPath(ctx, t.key)
	if err != nil {
		return err
	}
	dir, err := os.Open(t.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	kind, write := manifest.Directory, func(w *manifest.Writer) error { return manifest.WriteDirectory(ctx, w, dir, t.sums) }
	if t.applied.Changes != nil {
		kind, write = manifest.Changes, func(w *manifest.Writer) error {
			return manifest.WriteChanges(ctx, w, dir, t.applied.Changes, t.sums)
		}
	}
	if err := manifest.WriteFile(path, kind, write); err != nil {
		return err
	}
	t.sums, t.applied.Needs.Sums, t.applied.Changes = nil, nil, nil
	return nil
}
