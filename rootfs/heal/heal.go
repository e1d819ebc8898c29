// Package heal finds damaged layers without reading their files, and makes them new out of what is being loaded.
package heal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/rootfs/chain"
	"github.com/lrun-dev/lrun/rootfs/check"
	"github.com/lrun-dev/lrun/snapshot"
)

// Layers are the layers of a root for one driver.
type Layers struct {
	snapshots *snapshot.Store
	chains    *chain.Maker
}

// New returns the layers of the root in the directory root. It touches no disk.
func New(root string, snapshots *snapshot.Store) Layers {
	return Layers{snapshots: snapshots, chains: chain.New(root, snapshots)}
}

// Heal makes those layers of candidates new that are stored and damaged, or are not there while other snapshots stand on them, out
// of the blobs in in. It looks at the names,
// types and metadata of all files of these layers, several layers at once, and at what Note has noted; it reads
// no file. free is called with the root locked just before a layer is replaced, and stops it with an error while a
// container runs on the layer key. healed is called for each layer that was made new (0 is the bottom). Where layers of candidates
// are stored, it then makes all records name what is below them: who did that before may have been cut off. An error says
// that a layer is still damaged, or could not be looked at.
func (l Layers) Heal(ctx context.Context, in *blob.Ingest, candidates []image.Candidate, free func(key string) error, healed func(im image.Image, layer int)) error {
	stored := false
	for _, c := range candidates {
		damaged, err := l.damagedLayers(ctx, c.Image)
		if err != nil {
			return fmt.Errorf("check image %s: %w", c.Image.ID, err)
		}
		stored = stored || len(damaged) > 0
		src := chain.Source{Image: c.Image, Open: func(layer int) (io.ReadCloser, error) {
			return in.Open(c.Image.Layers[layer].Digest)
		}}
		for layer := range damaged {
			if !damaged[layer] {
				continue
			}
			made, err := l.remake(ctx, src, layer, free)
			if err != nil {
				return fmt.Errorf("layer %d of image %s is damaged, heal it: %w", layer+1, c.Image.ID, err)
			}
			if made {
				healed(c.Image, layer)
			}
		}
	}
	if !stored {
		return nil
	}
	_, err := l.snapshots.Relink(ctx)
	return err
}

// remake makes a layer of src new that was found to be wrong, unless it no longer is: another layer that has the same bytes may just
// have been healed, or the gap below it closed; or somebody has removed it meanwhile, with what stood on it and what is below.
func (l Layers) remake(ctx context.Context, src chain.Source, layer int, free func(key string) error) (made bool, err error) {
	chains := src.Image.ChainIDs()
	if still, err := l.wrong(ctx, chains, layer); err != nil || !still {
		return false, err
	}
	err = l.chains.Remake(ctx, src, layer, func() error { return free(chains[layer].String()) })
	if err == nil {
		return true, nil
	}
	if still, wrongErr := l.wrong(ctx, chains, layer); wrongErr != nil || still {
		return false, err
	}
	return false, nil
}

// damagedLayers tells for each layer of im that is stored, or that another snapshot stands on, from the bottom, whether it is
// damaged or not there.
func (l Layers) damagedLayers(ctx context.Context, im image.Image) ([]bool, error) {
	chains := im.ChainIDs()
	present, err := l.chains.Present(ctx, chains)
	if err != nil {
		return nil, err
	}
	if present < len(chains) {
		stood, err := l.stoodOn(ctx)
		if err != nil {
			return nil, err
		}
		for i, id := range chains {
			if stood[id.String()] {
				present = max(present, i+1)
			}
		}
	}
	damaged := make([]bool, present)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range damaged {
		g.Go(func() (err error) {
			damaged[i], err = l.wrong(ctx, chains, i)
			return err
		})
	}
	return damaged, g.Wait()
}

// stoodOn returns the keys of all parents.
func (l Layers) stoodOn(ctx context.Context) (map[string]bool, error) {
	parents := map[string]bool{}
	err := l.snapshots.Walk(ctx, func(info snapshot.Info) error {
		parents[info.Parent] = true
		return nil
	})
	if errdefs.IsDataLoss(err) { // those that cannot be read stand on nothing
		err = nil
	}
	return parents, err
}

// wrong tells that a layer of chains is damaged, or that it is not there and others stand on it or on one above.
func (l Layers) wrong(ctx context.Context, chains []digest.Digest, layer int) (bool, error) {
	key := chains[layer].String()
	if _, err := l.snapshots.Stat(ctx, key); chain.Absent(err) {
		stood, err := l.stoodOn(ctx)
		if err != nil || !slices.ContainsFunc(chains[layer:], func(id digest.Digest) bool { return stood[id.String()] }) {
			return false, err
		}
		if _, err = l.snapshots.Stat(ctx, key); chain.Absent(err) { // else somebody has just made both
			return true, nil
		}
	}
	return l.damaged(ctx, key)
}

// Sound tells that the bytes of the committed snapshot key may be shared with another chain.
func (l Layers) Sound(ctx context.Context, key string) (bool, error) {
	damaged, err := l.damaged(ctx, key)
	return !damaged, err
}

// damaged tells that the committed snapshot key is not what its manifest says, as far as can be told without reading
// files, or that its damage was noted. One that is gone, or has no manifest or one of another version, is not known to be damaged.
func (l Layers) damaged(ctx context.Context, key string) (bool, error) {
	path, err := l.note(ctx, key)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err == nil {
		_, err = os.Lstat(path)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err == nil, err
	}
	look, enough := context.WithCancel(ctx)
	defer enough()
	different := false
	_, err = check.Layer(look, l.snapshots, key, false, func(string, string) {
		different = true
		enough()
	})
	switch {
	case different:
		return true, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, check.ErrNoManifest), errdefs.IsNotFound(err), errdefs.IsNotImplemented(err):
		return false, nil
	}
	return err != nil, nil
}

// Note notes that the committed snapshot key is damaged although its files look sound, so that Heal makes it new.
// The note goes with the bytes that it is about.
func (l Layers) Note(ctx context.Context, key string) error {
	path, err := l.note(ctx, key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, nil, 0o600)
}

// note is the file whose existence says that the bytes beside it are damaged.
func (l Layers) note(ctx context.Context, key string) (string, error) {
	path, err := l.snapshots.ManifestPath(ctx, key)
	return filepath.Join(filepath.Dir(path), "damaged"), err
}
