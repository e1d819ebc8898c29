package rootfs

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/lrun-dev/lrun/layer"
	"github.com/lrun-dev/lrun/rootfs/chain"
	"github.com/lrun-dev/lrun/snapshot/quota"
)

// Difference is a snapshot beside what it was made from, open for reading.
type Difference struct{ layer.DiffSource }

// Close closes both.
func (d Difference) Close() error {
	err := d.Dir.Close()
	if d.Parent != nil {
		err = errors.Join(err, d.Parent.Close())
	}
	return err
}

// OpenDifference opens the active snapshot key and what is below it, for layer.Diff and layer.Changes, while it is
// mounted or not: nothing is mounted for writing. The caller closes it.
func (s *Store) OpenDifference(ctx context.Context, key string) (Difference, error) {
	d, err := s.openDifference(ctx, key)
	if err != nil {
		return Difference{}, fmt.Errorf("open changes of snapshot %q: %w", key, err)
	}
	return d, nil
}

func (s *Store) openDifference(ctx context.Context, key string) (d Difference, err error) {
	dirs, err := s.chains.Dirs(ctx, key)
	if err != nil {
		return d, err
	}
	own, below := dirs[0], dirs[1:]
	return OpenDirs(own, below, s.Snapshots.Rebases())
}

// OpenDirs opens a directory of changes and the directories below it, nearest first: an upperdir and its lowerdirs, or
// else a whole tree and, of those below, the nearest, which holds the rest. The caller closes it.
func OpenDirs(own string, below []string, overlay bool) (d Difference, err error) {
	d.Overlay = overlay
	if d.Dir, err = quota.Open(own); err != nil || len(below) == 0 {
		return d, err
	}
	if overlay {
		d.Parent, err = chain.OpenMerged(below)
	} else {
		d.Parent, err = os.Open(below[0])
	}
	if err != nil {
		return Difference{}, errors.Join(err, d.Dir.Close())
	}
	return d, nil
}
