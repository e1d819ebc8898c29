package snapshot

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/snapshot/record"
)

// Relink makes every record name what is below it now, and returns the keys of those that did not: a snapshot that was gone and is
// made again has other bytes than before. One whose parent is not there stays as it is. It is durable when Relink returns. Where
// nothing is to be changed nobody waits for it.
func (s *Store) Relink(ctx context.Context) (changed []string, err error) {
	wrong, err := s.unlinked(ctx)
	if err == nil && len(wrong) > 0 {
		err = s.locked(func() error {
			if wrong, err = s.unlinked(ctx); err != nil {
				return err
			}
			for _, r := range wrong {
				if err := s.replace(r); err != nil {
					return err
				}
				changed = append(changed, string(r.Key))
			}
			return nil
		})
	}
	if err == nil && len(changed) > 0 {
		err = s.SyncNames()
	}
	if err != nil {
		return changed, fmt.Errorf("relink snapshots: %w", err)
	}
	return changed, nil
}

// unlinked returns the records that do not name what is below them, as they should be.
func (s *Store) unlinked(ctx context.Context) ([]*record.Record, error) {
	all := map[text]*record.Record{}
	err := s.records(func(r *record.Record) error {
		all[r.Key] = r
		return ctx.Err()
	})
	if err != nil && !errdefs.IsDataLoss(err) {
		return nil, err
	}
	return record.Relink(all), nil
}
