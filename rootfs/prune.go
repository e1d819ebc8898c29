package rootfs

import (
	"context"
	"errors"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/snapshot"
)

// Names returns all names of one image, which has records, as Docker lists them: tags and NAME@DIGEST, sorted.
func Names(records []image.Record) []string { return references(records) }

// Prune removes those of the images ids that are still what they were chosen for: there, without a name unless tagged is true, and
// used by no container, of which inUse is asked when nobody can take an image any more. It returns what has become of each,
// in the order of ids; of one that stays, nothing. One that cannot be removed does not stop the rest.
func (s *Store) Prune(ctx context.Context, ids []digest.Digest, tagged bool, inUse func() (InUse, error)) ([]Removed, error) {
	var done []Removed
	var orphans []string
	err := s.chains.Locked(ctx, func() error {
		all, err := s.Images.List(ctx)
		if err != nil {
			return err
		}
		use, err := inUse()
		if err != nil {
			return err
		}
		var doomed [][]image.Record
		for _, id := range ids {
			records := slices.DeleteFunc(slices.Clone(all), func(r image.Record) bool { return r.Image != id })
			named := slices.ContainsFunc(records, func(r image.Record) bool { return !r.Ref.IsZero() })
			container, _ := use(id)
			if len(records) > 0 && (tagged || !named) && container == "" {
				doomed = append(doomed, records)
			}
		}
		done, orphans, err = s.deleteImages(ctx, doomed)
		return err
	})
	return done, errors.Join(err, s.Snapshots.Discard(ctx, orphans))
}

// deleteImages removes images, each of which has records, and what nothing else needs; the bytes of layers are left to be
// deleted. The root is locked.
func (s *Store) deleteImages(ctx context.Context, images [][]image.Record) (done []Removed, orphans []string, err error) {
	if len(images) == 0 {
		return nil, nil, nil
	}
	var ids []digest.Digest
	layers := map[string]int{} // to the first image that has them
	for i, records := range images {
		ids = append(ids, records[0].Image)
		done = append(done, Removed{Untagged: references(records), Deleted: []string{records[0].Image.String()}})
		for _, r := range records {
			im, err := s.Images.Load(ctx, r)
			if err != nil {
				continue // its parts are left to the sweep
			}
			for _, c := range im.ChainIDs() {
				if _, ok := layers[c.String()]; !ok {
					layers[c.String()] = i
				}
			}
		}
	}
	if err := s.drop(ctx, ids...); err != nil {
		return nil, nil, err
	}
	m, err := s.mark(ctx)
	if err != nil {
		return done, nil, err
	}
	names, err := s.committedWhere(ctx, func(info snapshot.Info) bool { _, ok := layers[info.Key]; return ok })
	gone, removeErr := s.removeChains(ctx, names, m, "")
	for _, name := range gone.chains {
		r := &done[layers[name]]
		r.Deleted = append(r.Deleted, name)
	}
	swept, sweepErr := s.sweepLocked(ctx)
	return done, append(gone.orphans, swept...), errors.Join(err, removeErr, sweepErr)
}
