package chain

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/rootfs/chain/lock"
	"github.com/lrun-dev/lrun/snapshot"
)

// Sweep removes the half-unpacked layers of sessions that have died. What they had to commit already
// stays: see Alive. One thing that resists does not stop the rest.
func (m *Maker) Sweep(ctx context.Context) error {
	var dead []string
	var errs []error
	err := m.snapshots.Walk(ctx, func(info snapshot.Info) error {
		id, ok := KeySession(info.Key)
		if !ok || info.Kind == snapshot.Committed {
			return nil
		}
		alive, err := m.Alive(id)
		errs = append(errs, err)
		if err == nil && !alive {
			dead = append(dead, info.Key)
		}
		return nil
	})
	if !errdefs.IsDataLoss(err) { // one that cannot be read is nobody's here
		errs = append(errs, err)
	}
	for _, key := range dead {
		if err := m.snapshots.Remove(ctx, key); err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, m.sweepLocks())...)
}

// sweepLocks removes the files below ROOT/unpack that nobody has locked.
func (m *Maker) sweepLocks() error {
	dir := filepath.Join(m.root, unpackDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		l, _, err := lock.Try(filepath.Join(dir, e.Name()))
		if l != nil {
			err = errors.Join(err, lock.Drop(l))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
