package snapshot

import (
	"path/filepath"

	"github.com/lrun-dev/lrun/snapshot/record"
)

// Dir is the directory of the store.
func (s *Store) Dir() string { return s.dir }

// RecordPath is the file that keeps what is known of key.
func (s *Store) RecordPath(key string) string { return s.record(key) }

// Claims calls living for each snapshot that a living process is making, with the file of its claim, and stale with the files
// that dead ones left, while no other process changes the bookkeeping.
func (s *Store) Claims(living func(path string, info Info), stale func(path string)) error {
	return s.locked(func() error {
		return s.claims(func(r *record.Record) { living(filepath.Join(s.dir, "staging", r.ID+suffix), infoOf(r)) }, stale)
	})
}
