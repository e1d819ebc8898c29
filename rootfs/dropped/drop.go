package dropped

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/internal/gc"
)

// Options say what is dropped and how.
type Options struct {
	// Only are images whose blobs are dropped; nil: all.
	Only []image.Record
	// DryRun does all the work and changes nothing.
	DryRun bool
	// Report is told in the end what has become of each blob, in the order of the images.
	Report func(Outcome)
}

// Outcome is what has become of one blob.
type Outcome struct {
	Blob   digest.Digest
	Images []string // names, or ids of those without a name, that have it
	Bytes  int64    // on disk, less those that its split data takes; 0 of one that is kept
	// Kept says why the blob stays; nil: it goes.
	Kept error
	// Small: it stays because nothing would be gained.
	Small bool
}

// errForeign says that a blob is not lrun's alone.
var errForeign = errors.New("an entry of another tool in index.json needs it")

// use is an image that has a blob.
type use struct {
	image   image.Image
	layer   int
	name    string
	foreign bool // another tool's entry in the index needs the blob too
}

func (u use) chain() string         { return u.image.ChainIDs()[u.layer].String() }
func (u use) diffID() digest.Digest { return u.image.Config.RootFS.DiffIDs[u.layer] }

// Drop removes the blobs of layers, after their split data has been made and the layer's tar has come out of it, for each
// image that has them. A blob that cannot be made again stays, and is reported. Blobs that were dropped before are passed over.
// locked calls its argument with the root locked exclusively: that is where blobs go, all at once. A kill before leaves split
// data, which harms nothing, and all blobs.
func (s *Store) Drop(ctx context.Context, locked func(context.Context, func() error) error, o Options) error {
	uses, order, err := s.uses(ctx, o.Only)
	if err != nil {
		return fmt.Errorf("drop blobs: %w", err)
	}
	var outcomes []Outcome
	ready := false
	for _, d := range order {
		if !s.blobs.Has(d) {
			continue
		}
		out := outcome(d, uses[d])
		out.Bytes, out.Kept = s.prepare(ctx, d, uses[d], o.DryRun)
		out.Small = errors.Is(out.Kept, errNoGain)
		if out.Kept != nil && ctx.Err() != nil {
			return ctx.Err()
		}
		ready = ready || out.Kept == nil
		outcomes = append(outcomes, out)
	}
	if ready && !o.DryRun {
		err = locked(ctx, func() error { return s.remove(ctx, outcomes) })
	}
	if err != nil {
		return fmt.Errorf("drop blobs: %w", err)
	}
	for _, out := range outcomes {
		o.Report(out)
	}
	return nil
}

func outcome(d digest.Digest, uses []use) Outcome {
	out := Outcome{Blob: d}
	for _, u := range uses {
		out.Images = append(out.Images, u.name)
	}
	slices.Sort(out.Images)
	out.Images = slices.Compact(out.Images)
	return out
}

// uses returns by its digest who has each blob of a layer, and those of the images only (nil: all) in their order.
func (s *Store) uses(ctx context.Context, only []image.Record) (map[digest.Digest][]use, []digest.Digest, error) {
	g := &gc.Graph{}
	if err := s.images.Graph(ctx, g); err != nil {
		return nil, nil, err
	}
	records, err := s.images.List(ctx)
	if err != nil {
		return nil, nil, err
	}
	uses := map[digest.Digest][]use{}
	var order []digest.Digest
	for _, r := range records {
		im, err := s.images.Load(ctx, r)
		if errdefs.IsNotFound(err) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, nil, err
		}
		wanted := only == nil || slices.ContainsFunc(only, func(o image.Record) bool { return o.Image == r.Image })
		for i, l := range im.Layers {
			n, _ := g.Node(gc.ID{Kind: gc.Blob, Name: l.Digest.String()})
			if wanted && !slices.Contains(order, l.Digest) {
				order = append(order, l.Digest)
			}
			uses[l.Digest] = append(uses[l.Digest], use{im, i, nameOf(r), n.Kept})
		}
	}
	return uses, order, nil
}

// nameOf is how people know the image of r.
func nameOf(r image.Record) string {
	if r.Ref.IsZero() {
		return r.Image.String()
	}
	return r.Ref.Familiar()
}

// prepare makes split data for each of uses and returns how many bytes on disk are gained when the blob d goes.
func (s *Store) prepare(ctx context.Context, d digest.Digest, uses []use, dry bool) (int64, error) {
	gain, err := s.taken(d)
	if err != nil {
		return 0, err
	}
	made := map[string]bool{} // by the directory: several chains may share one
	for _, u := range uses {
		if u.foreign {
			return 0, errForeign
		}
		at, err := s.places(ctx, u.chain())
		if err == nil && len(at) == 0 {
			err = fmt.Errorf("no driver has layer %s: %w", u.chain(), errdefs.ErrNotFound)
		}
		if err != nil {
			return 0, err
		}
		if slices.ContainsFunc(at, func(p place) bool { return made[p.dir] }) {
			continue
		}
		size, dir, err := s.prepareOne(ctx, at, d, u.diffID(), dry)
		if err != nil {
			return 0, err
		}
		made[dir] = true
		if gain -= size; gain <= 0 {
			return 0, errNoGain
		}
	}
	return gain, nil
}

// prepareOne makes split data in one of the places where a layer is: where some is already, if there is such a place.
func (s *Store) prepareOne(ctx context.Context, at []place, d, diffID digest.Digest, dry bool) (size int64, dir string, err error) {
	slices.SortStableFunc(at, func(a, b place) int { return cmp.Compare(b.taken(), a.taken()) })
	var errs []error
	for _, p := range at {
		had := p.taken()
		size, err := s.make(ctx, p, d, diffID, dry)
		if err == nil {
			return size - had, p.dir, nil
		}
		if ctx.Err() != nil || errors.Is(err, errNoGain) {
			return 0, "", err
		}
		errs = append(errs, err)
	}
	return 0, "", errors.Join(errs...)
}

// remove deletes those blobs that are not kept, and for which nothing has changed. The root is locked.
func (s *Store) remove(ctx context.Context, outcomes []Outcome) error {
	uses, _, err := s.uses(ctx, nil)
	if err != nil {
		return err
	}
	var errs []error
	for i, out := range outcomes {
		if out.Kept != nil {
			continue
		}
		err := s.replaceable(ctx, uses[out.Blob])
		if err == nil {
			if err = s.blobs.Remove(out.Blob); err != nil {
				errs = append(errs, err)
			}
		}
		if err != nil {
			outcomes[i].Bytes, outcomes[i].Kept = 0, err
		}
	}
	return errors.Join(errs...)
}

// replaceable returns nil when each of uses has split data.
func (s *Store) replaceable(ctx context.Context, uses []use) error {
	if len(uses) == 0 {
		return fmt.Errorf("its image was removed meanwhile: %w", errdefs.ErrNotFound)
	}
	for _, u := range uses {
		if u.foreign {
			return errForeign
		}
		ok, err := s.Dropped(ctx, u.image, u.layer)
		if err == nil && !ok {
			err = fmt.Errorf("image %s has come to need it meanwhile: run the command again: %w", u.name, errdefs.ErrFailedPrecondition)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
