// Package pairs knows which blob holds which layer: what an image says of the two is believed once a blob was decompressed.
package pairs

import (
	"context"
	"errors"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/layer"
	"github.com/lrun-dev/lrun/rootfs/chain"
)

// pair is a blob, whatever its compression, and the DiffID of the layer in it.
type pair struct{ blob, diffID digest.Digest }

// Pairs are those of the images of a store, and those that were looked at. It is for one goroutine.
type Pairs struct {
	images *image.Store
	known  map[pair]bool // nil until it is needed
}

// New returns the pairs of images. It touches no disk.
func New(images *image.Store) *Pairs { return &Pairs{images: images} }

// DiffID returns the DiffID of what the blob of a layer of src holds (0 is the bottom). It reads the blob only when it is
// compressed and no image of the store has both it and the DiffID that src says: those were verified when they were added.
func (p *Pairs) DiffID(ctx context.Context, src *chain.Source, i int) (_ digest.Digest, err error) {
	says := pair{src.Image.Layers[i].Digest, src.Image.Config.RootFS.DiffIDs[i]}
	if says.blob == says.diffID { // the blob's own digest was verified
		return says.diffID, nil
	}
	if err := p.load(ctx); err != nil || p.known[says] {
		return says.diffID, err
	}
	blob, err := src.Open(i)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	found, err := layer.DiffID(ctx, blob)
	if err == nil {
		p.known[pair{says.blob, found}] = true
	}
	return found, err
}

// load reads the manifests and configs of all images, once. What is damaged tells nothing.
func (p *Pairs) load(ctx context.Context) error {
	if p.known != nil {
		return nil
	}
	records, err := p.images.List(ctx)
	if err != nil && !errdefs.IsDataLoss(err) {
		return err
	}
	p.known = map[pair]bool{}
	for _, r := range records {
		im, err := p.images.Load(ctx, r)
		if err != nil {
			continue
		}
		for i, l := range im.Layers {
			p.known[pair{l.Digest, im.Config.RootFS.DiffIDs[i]}] = true
		}
	}
	return ctx.Err()
}
