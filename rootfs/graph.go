package rootfs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lrun-dev/lrun/internal/flock"
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
	err := s.chains.LockedShared(ctx, func() error { return graphStore(ctx, g, s.Snapshots, driver, kept) })
	return errors.Join(append(errs, err)...)
}

// graphStore adds all that a snapshot store has to g: a snapshot needs its parent and its bytes, and stays for its own sake when
// kept says so; so does what a living process makes or deletes. It reads every record, and no bytes. After an error, which is
// about records that cannot be read, all bytes are kept.
func graphStore(ctx context.Context, g *gc.Graph, s *snapshot.Store, driver string, kept func(snapshot.Info) bool) error {
	// First what is there, then who needs it: what appears meanwhile is not taken for an orphan.
	data, err := os.ReadDir(filepath.Join(s.Dir(), "data"))
	if err != nil {
		return err
	}
	needs := func(info snapshot.Info) []gc.ID {
		ids := []gc.ID{{Kind: gc.Data, Name: driver + "/" + info.ID}}
		if info.Parent != "" {
			ids = append(ids, gc.ID{Kind: gc.Snapshot, Name: driver + "/" + info.Parent})
		}
		return ids
	}
	disk := map[string]int64{}
	staged := func(path string, kept bool, needs []gc.ID) {
		g.Add(gc.Node{ID: gc.ID{Kind: gc.Staging, Name: path}, Paths: []string{path}, Needs: needs, Kept: kept})
	}
	broken := errors.Join(
		s.Claims(func(path string, info snapshot.Info) { staged(path, true, needs(info)) }, func(path string) { staged(path, false, nil) }),
		graphDeleting(filepath.Join(s.Dir(), "staging"), staged),
		s.Walk(ctx, func(info snapshot.Info) error {
			id := gc.ID{Kind: gc.Snapshot, Name: driver + "/" + info.Key}
			g.Add(gc.Node{ID: gc.ID{Kind: gc.Key, Name: info.Key}, Needs: []gc.ID{id}})
			g.Add(gc.Node{ID: id, Paths: []string{s.RecordPath(info.Key)}, Needs: needs(info), Kept: kept(info)})
			disk[info.ID] = info.Disk
			return nil
		}))
	for _, e := range data {
		path := filepath.Join(s.Dir(), "data", e.Name())
		g.Add(gc.Node{ID: gc.ID{Kind: gc.Data, Name: driver + "/" + e.Name()}, Paths: []string{path}, Disk: disk[e.Name()], Kept: broken != nil})
	}
	return broken
}

// graphDeleting adds the directories that are being deleted; those whose process is gone stay for nothing.
func graphDeleting(dir string, add func(path string, kept bool, needs []gc.ID)) error {
	entries, err := os.ReadDir(dir)
	errs := []error{err}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		path := filepath.Join(dir, e.Name())
		l, err := flock.TryExclusive(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err == nil:
			errs = append(errs, l.Unlock())
		case !errors.Is(err, flock.ErrBusy):
			errs = append(errs, err)
		}
		add(path, err != nil, nil)
	}
	return errors.Join(errs...)
}
