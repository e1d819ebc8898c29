package chain

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/layer"
	"github.com/lrun-dev/lrun/layer/manifest"
	"github.com/lrun-dev/lrun/overlay"
	"github.com/lrun-dev/lrun/snapshot"
)

// step is one link that a chain misses: one layer on those below it.
type step struct {
	source *Source
	layer  int // counted from 0, the bottom
	chain  string
	parent string // chain below; "" for the bottom
	diffID digest.Digest

	donor string // committed snapshot of the same layer in another chain, to share bytes with; or
	like  *step  // earlier step of this plan, likewise; or
	tree  *tree  // what was unpacked for this step
}

// tree is one unpacked layer: the content of an active snapshot, or of one that was committed already.
type tree struct {
	key     string
	dir     string
	applied layer.Applied
	sums    *manifest.Sums // nil once the manifest is written
	disk    int64          // bytes on disk, of all that is beside dir too; 0: not counted yet
}

func (st *step) blob() ocispec.Descriptor { return st.source.Image.Layers[st.layer] }

// String names the step in errors.
func (st *step) String() string {
	return fmt.Sprintf("layer %d of %d (blob %s)", st.layer+1, len(st.source.Image.Layers), st.blob().Digest)
}

// verify fails unless found, the DiffID of what the blob holds, is what the image's config says.
func (st *step) verify(found digest.Digest) error {
	if found == st.diffID {
		return nil
	}
	return fmt.Errorf("its content is not what the config of image %s says: expected DiffID %s, found %s: %w",
		st.source.Image.ID, st.diffID, found, errdefs.ErrDataLoss)
}

func (st *step) event(state State) Event {
	return Event{
		Image: st.source.Image.ID, Layer: st.layer, Layers: len(st.source.Image.Layers),
		Blob: st.blob().Digest, DiffID: st.diffID, State: state, Size: st.blob().Size,
	}
}

// plan is what must be done so that the chains of some images are complete.
type plan struct {
	steps []*step          // what is missing, each after what it stands on
	index map[string]*step // by chain
	there []*step          // what is not missing, but for layers that a step has with the same blob
	// seen are the images' topmost chains that were there, and donors, as they were: to be looked at again.
	seen map[string]snapshot.Info
}

// newPlan compares the chains of images with what the store has now.
func (m *Maker) newPlan(ctx context.Context, t *Task, r *reporter) (*plan, error) {
	p := &plan{index: map[string]*step{}, seen: map[string]snapshot.Info{}}
	for i := range t.Sources {
		src := &t.Sources[i]
		if err := m.planImage(ctx, p, src, r); err != nil {
			return p, fmt.Errorf("image %s: %w", src.Image.ID, err)
		}
	}
	return p, nil
}

// planImage adds what one image misses.
func (m *Maker) planImage(ctx context.Context, p *plan, src *Source, r *reporter) error {
	chains, diffIDs := src.Image.ChainIDs(), src.Image.Config.RootFS.DiffIDs
	switch {
	case len(chains) > overlay.MaxLowers:
		return fmt.Errorf("%d layers: the kernel's overlayfs stacks %d at most: %w", len(chains), overlay.MaxLowers, errdefs.ErrInvalidArgument)
	case len(chains) != len(src.Image.Layers):
		return fmt.Errorf("%d DiffIDs and %d layers: %w", len(chains), len(src.Image.Layers), errdefs.ErrInvalidArgument)
	}
	for _, d := range diffIDs {
		if err := d.Validate(); err != nil { // it becomes a file name
			return fmt.Errorf("DiffID %q: %w: %w", d, err, errdefs.ErrInvalidArgument)
		}
	}
	present, top, err := m.present(ctx, chains)
	if err != nil {
		return err
	}
	if present > 0 {
		p.seen[top.Key] = top
	}
	for i, chain := range chains {
		st := &step{source: src, layer: i, chain: chain.String(), diffID: diffIDs[i]}
		if i > 0 {
			st.parent = chains[i-1].String()
		}
		same := p.index[st.chain]
		if i >= present && same == nil {
			p.steps = append(p.steps, st)
			p.index[st.chain] = st
			continue
		}
		r.send(st.event(AlreadyExists))
		if same == nil || same.blob().Digest != st.blob().Digest {
			p.there = append(p.there, st)
		}
	}
	return nil
}

// findDonors looks for committed snapshots of the same layers in other chains, which are sound.
func (m *Maker) findDonors(ctx context.Context, t *Task, p *plan) error {
	if !m.unordered || t.Unlike || len(p.steps) == 0 {
		return nil
	}
	donors := map[string]snapshot.Info{}
	err := m.snapshots.Walk(ctx, func(info snapshot.Info) error {
		if d := info.Labels[LabelDiffID]; info.Kind == snapshot.Committed && d != "" && info.Labels[LabelSettled] == "" {
			donors[d] = info
		}
		return nil
	})
	if err != nil && !errdefs.IsDataLoss(err) {
		return err
	}
	for _, st := range p.steps {
		donor, ok := donors[st.diffID.String()]
		if ok && t.Sound != nil {
			if ok, err = t.Sound(ctx, donor.Key); err != nil {
				return err
			}
		}
		if ok {
			st.donor, p.seen[donor.Key] = donor.Key, donor
		}
	}
	return nil
}

// diffIDs returns the layers that must be unpacked.
func (p *plan) diffIDs() []digest.Digest {
	var list []digest.Digest
	for _, st := range p.steps {
		if st.donor == "" {
			list = append(list, st.diffID)
		}
	}
	return list
}

// bySize returns steps with the largest blobs first, which is the order that ends soonest.
func bySize(steps []*step) []*step {
	return slices.SortedStableFunc(slices.Values(steps), func(a, b *step) int {
		return cmp.Compare(b.blob().Size, a.blob().Size)
	})
}
