package snapshot

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/snapshot/record"
)

// Relink makes every record name what is below it now, and returns the keys of those that did not: a snapshot that was gone and is
// made again has other bytes than before. One whose parent is not there stays as it is. It is durable when Relink returns.
func (s *Store) Relink(ctx context.Context) (changed []string, err error) {
	err = s.locked(func() error {
		all := map[text]*record.Record{}
		err := s.records(func(r *record.Record) error {
			all[r.Key] = r
			return ctx.Err()
		})
		if err != nil && !errdefs.IsDataLoss(err) {
			return err
		}
		for _, r := range record.Relink(all) {
			if err := s.unclaimed(r); err != nil {
				return err
			}
			if err := s.add(r); err != nil {
				return err
			}
			changed = append(changed, string(r.Key))
		}
		return nil
	})
	if err == nil && len(changed) > 0 {
		err = s.SyncNames()
	}
	if err != nil {
		return changed, fmt.Errorf("relink snapshots: %w", err)
	}
	return changed, nil
}
