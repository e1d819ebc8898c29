package rootfs

import (
	"context"
	"fmt"
	"io"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/rootfs/chain"
)

// Remake unpacks the layer with the ChainID key, which is damaged or not there, again from a stored blob and puts it in the place of
// what is there, and below all that stands on it, at once. The layers below must be sound. free is called with the root locked just before, and stops it
// with an error while a container runs on the layer. A layer that no stored image has is errdefs.ErrNotFound; a blob
// that is gone or not what it should be leaves all as it is, and the error names what to load or pull.
func (s *Store) Remake(ctx context.Context, key string, free func() error) error {
	records, err := s.Images.List(ctx)
	if err != nil {
		return err
	}
	failed := fmt.Errorf("no image has it: %w", errdefs.ErrNotFound)
	for _, r := range records {
		im, err := s.Images.Load(ctx, r)
		if err != nil {
			failed = err
			continue
		}
		for layer, id := range im.ChainIDs() {
			if id.String() != key {
				continue
			}
			err := s.chains.Remake(ctx, chain.Source{Image: im, Open: func(layer int) (io.ReadCloser, error) {
				return s.dropped.Open(ctx, im, layer)
			}}, layer, free)
			if errdefs.IsNotFound(err) || errdefs.IsDataLoss(err) {
				failed = fmt.Errorf("load or pull %s again: %w", known(r), err)
				break // another image may have the layer in another blob
			}
			if err == nil {
				err = s.nameLayer(ctx, key, im.Config.RootFS.DiffIDs[layer].String())
			}
			return err
		}
	}
	return failed
}

// nameLayer makes the record of the layer key say its DiffID.
func (s *Store) nameLayer(ctx context.Context, key, diffID string) error {
	info, err := s.Snapshots.Stat(ctx, key)
	if err != nil || info.Labels[chain.LabelDiffID] == diffID {
		return err
	}
	_, err = s.Snapshots.Relabel(ctx, key, func(labels map[string]string) map[string]string {
		labels[chain.LabelDiffID] = diffID
		return labels
	})
	return err
}

// known is how people know the image of r.
func known(r image.Record) string {
	if r.Ref.IsZero() {
		return r.Image.String()
	}
	return r.Ref.Familiar()
}
