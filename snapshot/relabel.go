package snapshot

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/lrun-dev/lrun/snapshot/record"
)

// Relabel gives the snapshot key, of whatever kind, the labels that change returns for those that it
// has, and returns what is known of it then. change is called with the store locked and must be quick.
// It is durable when Relabel returns. No such key is an errdefs.ErrNotFound, one that is being committed
// errdefs.ErrFailedPrecondition.
func (s *Store) Relabel(_ context.Context, key string, change func(map[string]string) map[string]string) (Info, error) {
	var r *record.Record
	err := s.locked(func() (err error) {
		if r, err = s.lookup(key); err != nil {
			return err
		}
		labels := map[string]string{}
		maps.Copy(labels, r.Labels)
		o, err := collect([]Opt{WithLabels(change(labels))})
		if err != nil {
			return err
		}
		r.Labels, r.Updated = o.labels, time.Now().UTC()
		return s.replace(r)
	})
	if err == nil {
		err = s.SyncNames()
	}
	if err != nil {
		return Info{}, fmt.Errorf("relabel snapshot: %w", err)
	}
	return infoOf(r), nil
}
