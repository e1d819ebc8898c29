package volume

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/lrun-dev/lrun/internal/gc"
)

// Graph adds all volumes to g, which stay until somebody removes them, and what killed processes have left of others.
func (s *Store) Graph(g *gc.Graph) error {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		path := filepath.Join(s.dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), newPrefix), strings.HasPrefix(e.Name(), gonePrefix):
			g.Add(gc.Node{ID: gc.ID{Kind: gc.Staging, Name: path}, Paths: []string{path}})
		case !strings.HasPrefix(e.Name(), "."):
			g.Add(gc.Node{ID: gc.ID{Kind: gc.Volume, Name: e.Name()}, Paths: []string{path}, Kept: true})
		}
	}
	return err
}

// Sweep deletes what killed processes have left of volumes that were being made or removed.
func (s *Store) Sweep(ctx context.Context) error {
	if _, err := os.Lstat(s.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return s.locked(func() error { return s.sweep(ctx) })
}
