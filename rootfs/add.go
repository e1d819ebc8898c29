package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/rootfs/chain"
	"github.com/lrun-dev/lrun/rootfs/heal"
	"github.com/lrun-dev/lrun/rootfs/pairs"
	"github.com/lrun-dev/lrun/snapshot"
)

// Add unpacks the images of candidates, whose blobs are in the ingest in (or in the store already),
// and then makes them appear with their names, blobs and layers, all at once. It returns their
// records as stored: one for each name, and one without a name for a candidate that has none.
//
// It unpacks only the layers that this driver has not, or has damaged in the chain of another image, as far as package heal
// sees it; layers of candidates that are damaged themselves are for heal.Layers. Several processes that add the same layer at
// once unpack it once. Every layer is verified against its DiffID; a layer that differs is
// errdefs.ErrDataLoss, though the layer of that DiffID be there: a blob is read for that unless an image of the store has it with
// the same DiffID. After an error, or when ctx is done, nothing of the images is in the store, and their blobs are in the ingest;
// after a kill nothing will be once Sweep has run. The caller closes in. progress, which may be nil,
// is called from several goroutines, one at a time.
func (s *Store) Add(ctx context.Context, in *blob.Ingest, candidates []image.Candidate, progress func(Event)) ([]image.Record, error) {
	return s.add(ctx, in, candidates, chain.Task{Progress: progress})
}

// AddMade is Add of an image whose new layer somebody has just made: nobody looks whether another chain has one like it, which
// takes time in a store of many layers.
func (s *Store) AddMade(ctx context.Context, in *blob.Ingest, candidate image.Candidate) ([]image.Record, error) {
	return s.add(ctx, in, []image.Candidate{candidate}, chain.Task{Unlike: true})
}

// add completes and carries out t, which says how.
func (s *Store) add(ctx context.Context, in *blob.Ingest, candidates []image.Candidate, t chain.Task) ([]image.Record, error) {
	var records []image.Record
	t.Sync, t.Sound, t.Retract = in.Sync, heal.New(s.root, s.Snapshots).Sound, s.retract
	t.DiffID = pairs.New(s.Images).DiffID
	t.Finish = func(ctx context.Context) (err error) {
		records, err = s.publishImages(ctx, in, candidates)
		return err
	}
	for _, c := range candidates {
		t.Sources = append(t.Sources, chain.Source{Image: c.Image, Open: func(layer int) (io.ReadCloser, error) {
			f, err := in.Open(c.Image.Layers[layer].Digest)
			if errdefs.IsNotFound(err) {
				return s.dropped.Open(ctx, c.Image, layer)
			}
			return f, err
		}})
	}
	if err := s.chains.Make(ctx, t); err != nil {
		return nil, err
	}
	return records, nil
}

// publishImages publishes the blobs and then the records of candidates. The root is locked.
func (s *Store) publishImages(ctx context.Context, in *blob.Ingest, candidates []image.Candidate) ([]image.Record, error) {
	before, err := s.Images.List(ctx)
	if err != nil {
		return nil, err
	}
	if candidates, err = s.keepManifests(ctx, in, candidates); err != nil {
		return nil, err
	}
	var records []image.Record
	for _, c := range candidates {
		if err := s.checkBlobs(ctx, in, c.Image); err != nil {
			return nil, err
		}
		size, err := s.size(ctx, c.Image)
		if err != nil {
			return nil, err
		}
		records = append(records, newRecords(c, size, before)...)
	}
	if err := ctx.Err(); err != nil { // the last moment to turn back
		return nil, err
	}
	digests := in.Digests()
	err = in.Publish()
	if err == nil {
		err = s.Images.Put(ctx, records...)
	}
	if err != nil {
		return nil, errors.Join(err, s.removeBlobs(context.WithoutCancel(ctx), digests, in.TakeBack))
	}
	return records, nil
}

// newRecords returns the records of one candidate. before are those of the store.
func newRecords(c image.Candidate, size int64, before []image.Record) []image.Record {
	r := image.Record{Image: c.Image.ID, Manifest: c.Image.Manifest, RepoDigest: c.RepoDigest, Size: size, Created: created(c.Image)}
	if len(c.Refs) == 0 {
		return []image.Record{r}
	}
	list := make([]image.Record, len(c.Refs))
	for i, ref := range c.Refs {
		list[i] = r
		list[i].Ref, list[i].RepoDigest = ref, repoDigest(c, ref, before)
	}
	return list
}

// created is when the config says that the image was made; the zero time when it does not say.
func created(im image.Image) time.Time {
	if im.Config.Created == nil {
		return time.Time{}
	}
	return *im.Config.Created
}

// checkBlobs fails when a blob of im is neither in the ingest nor in the store, and was not dropped: one that was counted
// on may have been removed with another image.
func (s *Store) checkBlobs(ctx context.Context, in *blob.Ingest, im image.Image) error {
	const documents = 2 // manifest and config come first
	for i, d := range blobsOf(im) {
		f, err := in.Open(d)
		if errdefs.IsNotFound(err) && i >= documents {
			if ok, _ := s.dropped.Dropped(ctx, im, i-documents); ok {
				continue
			}
		}
		if err != nil {
			return fmt.Errorf("image %s: %w", im.ID, err)
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// size is the sum of the layers of im, unpacked, in bytes.
func (s *Store) size(ctx context.Context, im image.Image) (int64, error) {
	chains := im.ChainIDs()
	if len(chains) == 0 {
		return 0, nil
	}
	infos, err := s.Snapshots.Chain(ctx, chains[len(chains)-1].String())
	var sum int64
	for _, info := range infos {
		sum += info.Size
	}
	return sum, err
}

// AddLayers makes the chain of a built-in image: one that is in no image store and has no blobs.
// name is the image's, such as "@hello"; layers start fresh readers of its uncompressed layers,
// bottom first. When the chain is there, it costs one look. The layers stay until AddLayers makes
// others under the same name, as it does for an lrun of another version; those of a container stay longer.
func (s *Store) AddLayers(ctx context.Context, name string, im image.Image, layers []func() io.Reader) error {
	chains := im.ChainIDs()
	present, err := s.chains.Present(ctx, chains)
	if err != nil || present == len(chains) {
		return err
	}
	if len(layers) != len(chains) {
		return fmt.Errorf("add image %s: %d layers, its config says %d: %w", name, len(layers), len(chains), errdefs.ErrInvalidArgument)
	}
	err = s.chains.Make(ctx, chain.Task{
		Sources: []chain.Source{{Image: im, Open: func(layer int) (io.ReadCloser, error) { return io.NopCloser(layers[layer]()), nil }}},
		Labels:  map[string]string{LabelBuiltIn: name},
		Retract: s.retract,
		Finish:  func(ctx context.Context) error { return s.replaceBuiltIn(ctx, name, chains) },
	})
	if err != nil {
		return fmt.Errorf("add image %s: %w", name, err)
	}
	return nil
}

// replaceBuiltIn removes all layers of the built-in image name but those of chains. The root is locked.
func (s *Store) replaceBuiltIn(ctx context.Context, name string, chains []digest.Digest) error {
	m, err := s.mark(ctx)
	if err != nil {
		return err
	}
	for _, c := range chains {
		m[c.String()] = true
	}
	old, err := s.committedWhere(ctx, func(info snapshot.Info) bool { return info.Labels[LabelBuiltIn] == name })
	if err != nil {
		return err
	}
	gone, err := s.removeChains(ctx, old, m, name)
	return errors.Join(err, s.Snapshots.Discard(ctx, gone.orphans))
}
