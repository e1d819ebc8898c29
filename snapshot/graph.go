package snapshot

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/internal/gc"
)

// Graph adds all that the store has to g, under the name of its driver: a snapshot needs its parent and its bytes, and stays for
// its own sake when kept says so; so does what a living process makes or deletes. It reads every record, and no bytes. After an
// error, which is about records that cannot be read, no bytes and no snapshots are without a need.
func (s *Store) Graph(ctx context.Context, g *gc.Graph, driver string, kept func(Info) bool) error {
	// First what is there, then who needs it: what appears meanwhile is not taken for an orphan.
	data, err := os.ReadDir(filepath.Join(s.dir, "data"))
	if err != nil {
		return err
	}
	claimed := s.locked(func() error {
		return s.claims(func(r *record) {
			path := filepath.Join(s.dir, "staging", r.ID+suffix)
			g.Add(gc.Node{ID: gc.ID{Kind: gc.Staging, Name: path}, Paths: []string{path}, Needs: s.needs(driver, r.info()), Kept: true})
		}, func(path string) {
			g.Add(gc.Node{ID: gc.ID{Kind: gc.Staging, Name: path}, Paths: []string{path}})
		})
	})
	broken := errors.Join(claimed, s.deleting(g))
	broken = errors.Join(broken, s.Walk(ctx, func(info Info) error {
		id := gc.ID{Kind: gc.Snapshot, Name: driver + "/" + info.Key}
		g.Add(gc.Node{ID: gc.ID{Kind: gc.Key, Name: info.Key}, Needs: []gc.ID{id}})
		g.Add(gc.Node{ID: id, Paths: []string{s.record(info.Key)}, Needs: s.needs(driver, info), Kept: kept(info)})
		return nil
	}))
	for _, e := range data {
		if isID(e.Name()) {
			g.Add(gc.Node{ID: gc.ID{Kind: gc.Data, Name: driver + "/" + e.Name()}, Paths: []string{s.data(e.Name())}, Kept: broken != nil})
		}
	}
	return broken
}

// needs are the parent and the bytes of a snapshot.
func (s *Store) needs(driver string, info Info) []gc.ID {
	ids := []gc.ID{{Kind: gc.Data, Name: driver + "/" + info.ID}}
	if info.Parent != "" {
		ids = append(ids, gc.ID{Kind: gc.Snapshot, Name: driver + "/" + info.Parent})
	}
	return ids
}

// deleting adds the directories that are being deleted; those whose process is gone stay for nothing.
func (s *Store) deleting(g *gc.Graph) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, "staging"))
	errs := []error{err}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		path := filepath.Join(s.dir, "staging", e.Name())
		l, err := flock.TryExclusive(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		busy := errors.Is(err, flock.ErrBusy)
		if err == nil {
			err = l.Unlock()
		}
		if !busy {
			errs = append(errs, err)
		}
		g.Add(gc.Node{ID: gc.ID{Kind: gc.Staging, Name: path}, Paths: []string{path}, Kept: busy})
	}
	return errors.Join(errs...)
}
