package chain

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/overlay"
	"github.com/lrun-dev/lrun/snapshot/quota"
)

// Dirs returns the directories of the snapshot key and of its parents, nearest first.
func (m *Maker) Dirs(ctx context.Context, key string) ([]string, error) {
	infos, err := m.snapshots.Chain(ctx, key)
	if err != nil {
		return nil, err
	}
	dirs := make([]string, len(infos))
	for i, info := range infos {
		if dirs[i], err = m.snapshots.Path(ctx, info.Key); err != nil {
			return nil, err
		}
	}
	return dirs, nil
}

// OpenMerged mounts the merge of dirs, nearest first, read-only and attached nowhere, in the best of
// the ways that this kernel has. The first may be the tree of a snapshot with a limit. The caller closes it.
func OpenMerged(dirs []string) (*os.File, error) {
	if len(dirs) == 0 {
		return nil, fmt.Errorf("merge nothing: no directory: %w", errdefs.ErrInvalidArgument)
	}
	over, err := quota.OverTree(dirs[0])
	if err != nil {
		return nil, err
	}
	var errs []error
	for method := mount.ByDescriptor; method <= mount.ByNumber; method++ {
		m, err := overlay.Mount(dirs, "", "", overlay.Options{Method: method})
		if err != nil {
			return nil, err
		}
		m.Over = over
		f, err := m.Open()
		if err == nil {
			return f, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}
