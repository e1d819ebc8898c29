package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/overlay"
	"github.com/lrun-dev/lrun/rootfs/chain"
	"github.com/lrun-dev/lrun/snapshot"
	"github.com/lrun-dev/lrun/snapshot/quota"
)

// PrepareOptions are what a container's snapshot can be given.
type PrepareOptions struct {
	Volatile bool              // it is worth nothing after a crash: see snapshot.WithVolatile
	Labels   map[string]string // beside LabelImage
	Limit    *quota.Limit      // of what it takes on disk; nil: none
	Progress func(Event)       // told of layers that have to be unpacked first; may be nil
}

// Prepare makes the active snapshot key on the layers of im and returns how to mount it. When this
// driver has not all of the layers, they are unpacked from the stored blobs first, or what was dropped of them, as Add does. An
// image that is no longer stored is errdefs.ErrNotFound, a key that is taken errdefs.ErrAlreadyExists.
// The caller ends it with Release.
func (s *Store) Prepare(ctx context.Context, key string, im image.Image, o PrepareOptions) ([]mount.Mount, error) {
	var mounts []mount.Mount
	err := chain.Retry(func() error {
		err := s.chains.LockedShared(ctx, func() (err error) {
			mounts, err = s.prepareLocked(ctx, key, im, o)
			return err
		})
		if !errors.Is(err, chain.ErrChanged) {
			return err
		}
		if err := s.unpackStored(ctx, im, o.Progress); err != nil {
			return err
		}
		return chain.ErrChanged
	})
	if err != nil {
		return nil, fmt.Errorf("prepare image %s: %w", im.ID, err)
	}
	return mounts, nil
}

// prepareLocked makes the snapshot, or returns chain.ErrChanged when a layer is missing.
func (s *Store) prepareLocked(ctx context.Context, key string, im image.Image, o PrepareOptions) ([]mount.Mount, error) {
	parent := ""
	if chains := im.ChainIDs(); len(chains) > 0 {
		parent = chains[len(chains)-1].String()
	}
	if err := s.checkNotGone(ctx, im, parent); err != nil {
		return nil, err
	}
	labels := map[string]string{LabelImage: im.ID.String()}
	maps.Copy(labels, o.Labels)
	opts := []snapshot.Opt{snapshot.WithLabels(labels), snapshot.WithLimit(o.Limit)}
	if o.Volatile {
		opts = append(opts, snapshot.WithVolatile())
	}
	mounts, err := s.Snapshots.PrepareMounts(ctx, key, parent, opts...)
	if parent != "" && errdefs.IsNotFound(err) {
		return nil, chain.ErrChanged
	}
	return mounts, err
}

// unpackStored completes the chain of a stored image for this driver.
func (s *Store) unpackStored(ctx context.Context, im image.Image, progress func(Event)) error {
	if err := s.checkStored(ctx, im.ID); err != nil {
		return err
	}
	return s.chains.Make(ctx, chain.Task{
		Sources: []chain.Source{{Image: im, Open: func(layer int) (io.ReadCloser, error) {
			return s.dropped.Open(ctx, im, layer)
		}}},
		Progress: progress,
		Retract:  s.retract,
		// Removed meanwhile, it would leave layers that nothing keeps.
		Finish: func(ctx context.Context) error { return s.checkStored(ctx, im.ID) },
	})
}

// checkNotGone is checkStored for an image of which all layers may be there, for another one has them too. While the image is
// there, it costs one stat. A built-in image, of which parent is the top, is never stored, and neither is one without an ID.
func (s *Store) checkNotGone(ctx context.Context, im image.Image, parent string) error {
	if im.ID == "" {
		return nil
	}
	if _, err := s.Blobs.Size(im.ID); !errdefs.IsNotFound(err) {
		return err
	}
	if info, err := s.Snapshots.Stat(ctx, parent); err == nil && info.Labels[LabelBuiltIn] != "" {
		return nil
	}
	return s.checkStored(ctx, im.ID)
}

func (s *Store) checkStored(ctx context.Context, id digest.Digest) error {
	has, err := s.has(ctx, id)
	if err == nil && !has {
		return fmt.Errorf("it is not in the store, or not any more: %w", errdefs.ErrNotFound)
	}
	return err
}

// has tells whether the image id has a record.
func (s *Store) has(ctx context.Context, id digest.Digest) (bool, error) {
	records, err := s.Images.List(ctx)
	return slices.ContainsFunc(records, func(r image.Record) bool { return r.Image == id }), err
}

// OpenRoot returns a mount of what the active snapshot key shows, attached nowhere and read-only,
// for reading while the snapshot is mounted elsewhere or not: it takes the upperdir as one more
// lowerdir, so that nothing is mounted twice for writing. What a running container changes
// meanwhile may show or not. The caller closes it.
func (s *Store) OpenRoot(ctx context.Context, key string) (*os.File, error) {
	f, err := s.openRoot(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("open root of snapshot %q: %w", key, err)
	}
	return f, nil
}

func (s *Store) openRoot(ctx context.Context, key string) (*os.File, error) {
	mounts, err := s.Snapshots.Look(ctx, key)
	if err != nil {
		return nil, err
	}
	if len(mounts) == 0 {
		return nil, errors.New("no mounts")
	}
	last := mounts[len(mounts)-1]
	last.ReadOnly = true
	if last.Type != "overlay" {
		return last.Open()
	}
	dirs, err := s.chains.Dirs(ctx, key)
	if err != nil {
		return nil, err
	}
	if len(dirs) <= overlay.MaxLowers {
		return chain.OpenMerged(dirs)
	}
	// No room for the upperdir among the lowerdirs: it is mounted once more, and has to be ready for that.
	if _, err := s.Snapshots.Mounts(ctx, key); err != nil {
		return nil, err
	}
	return last.Open()
}

// Release removes the active snapshot key, which is not mounted, and with it those layers below that
// neither an image nor another snapshot needs: an image that is removed while a container uses it
// leaves them to the container. Releasing what is gone is not an error. While the image is there, it
// costs no lock of the root.
func (s *Store) Release(ctx context.Context, key string) error {
	info, err := s.Snapshots.Stat(ctx, key)
	if chain.Absent(err) { // what it stood on is left to the sweep
		return s.Snapshots.Clear(key)
	}
	if err == nil && info.Kind == snapshot.Committed {
		err = fmt.Errorf("it is a layer: %w", errdefs.ErrInvalidArgument)
	}
	if err == nil {
		err = s.Snapshots.Remove(ctx, key)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("release snapshot %q: %w", key, err)
	}
	id := digest.Digest(info.Labels[LabelImage])
	if has, err := s.has(ctx, id); has || err != nil || info.Parent == "" {
		return err
	}
	var gone removed
	err = s.chains.Locked(ctx, func() (err error) {
		gone, err = s.releaseParents(ctx, info.Parent)
		return err
	})
	if err := errors.Join(err, s.Snapshots.Discard(ctx, gone.orphans)); err != nil {
		return fmt.Errorf("release layers below snapshot %q: %w", key, err)
	}
	return nil
}

// releaseParents removes parent and all below it that nobody needs. The root is locked.
func (s *Store) releaseParents(ctx context.Context, parent string) (removed, error) {
	infos, err := s.Snapshots.Chain(ctx, parent)
	if chain.Absent(err) { // a gap: what is not needed is left to the sweep
		return removed{}, nil
	}
	if err != nil || infos[0].Labels[LabelBuiltIn] != "" {
		return removed{}, err
	}
	m, err := s.mark(ctx)
	if err != nil {
		return removed{}, err
	}
	names := make([]string, len(infos))
	for i, info := range infos {
		names[i] = info.Key
	}
	return s.removeChains(ctx, names, m, "")
}
