package rootfs

import (
	"context"
	"errors"

	"github.com/lrun-dev/lrun/internal/gc"
	"github.com/lrun-dev/lrun/rootfs/chain"
	"github.com/lrun-dev/lrun/snapshot"
)

// GraphImages adds to g what all drivers have in common: images, blobs, what is on its way in. It is called after GraphSnapshots: when an
// image cannot be read, all blobs and layers are kept.
func (s *Store) GraphImages(ctx context.Context, g *gc.Graph) error {
	return s.chains.LockedShared(ctx, func() error {
		for _, path := range s.unfinished() {
			g.Add(gc.Node{ID: gc.ID{Kind: gc.Staging, Name: path}, Paths: []string{path}})
		}
		err := s.Images.Graph(ctx, g)
		if err != nil {
			g.Keep(gc.Key)
		}
		return errors.Join(err, s.Blobs.Graph(g))
	})
}

// GraphSnapshots adds to g the snapshots of this store's driver, which has the name driver. Those of built-in images stay, and
// those that a living process has unpacked and not published yet; all others stay as long as an image or a container needs
// their keys.
func (s *Store) GraphSnapshots(ctx context.Context, g *gc.Graph, driver string) error {
	var errs []error
	alive := func(session string) bool {
		is, err := s.chains.Alive(session)
		errs = append(errs, err)
		return is || err != nil
	}
	kept := func(info snapshot.Info) bool {
		if info.Kind != snapshot.Committed {
			session, ok := chain.KeySession(info.Key)
			return ok && alive(session)
		}
		session := info.Labels[chain.LabelSession]
		return info.Labels[LabelBuiltIn] != "" || session != "" && alive(session)
	}
	err := s.chains.LockedShared(ctx, func() error { return s.Snapshots.Graph(ctx, g, driver, kept) })
	return errors.Join(append(errs, err)...)
}
