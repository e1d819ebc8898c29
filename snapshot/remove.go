package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/snapshot/id"
	"github.com/lrun-dev/lrun/snapshot/layout"
	"github.com/lrun-dev/lrun/snapshot/record"
)

// Remove deletes the snapshot key, which is mounted nowhere. One with children is
// errdefs.ErrFailedPrecondition. Of one that is not there, for its bytes are gone or its record cannot be read, the record is
// removed, and what bytes there are left to Sweep. When the bytes resist, the snapshot is gone all the same, and the
// error says what Sweep will have to try again.
//
// That the record is gone is durable before the first byte is deleted, so that after a crash of the machine the snapshot is
// there whole, or not; of a volatile one nothing is synced.
func (s *Store) Remove(ctx context.Context, key string) error {
	var orphan string
	var sync atomicfile.Sync
	err := s.locked(func() error {
		r, err := s.lookup(key)
		if unusable(err) {
			return s.dropUnusable(key, err)
		}
		if err != nil {
			return err
		}
		sync = s.syncOf(r)
		shared := false
		if r.Kind != Committed {
			err = s.unclaimed(r)
		}
		if err == nil && s.mayShare(r) {
			shared, err = s.users(r)
		}
		if err != nil {
			return err
		}
		if !shared {
			orphan = r.ID
		}
		return os.Remove(s.record(key))
	})
	if err == nil {
		err = sync.Dir(s.recordDir())
	}
	if err != nil {
		return fmt.Errorf("remove snapshot: %w", err)
	}
	if orphan == "" {
		return nil
	}
	if err := s.driver.Remove(ctx, orphan); err != nil {
		return fmt.Errorf("remove snapshot %q: its name is gone, some bytes are left: %w", key, err)
	}
	return nil
}

// Clear removes the record of key if it counts as none. One that does not, or is not there, is no error.
func (s *Store) Clear(key string) error {
	err := s.locked(func() error {
		_, err := s.lookup(key)
		if unusable(err) {
			return s.dropUnusable(key, err)
		}
		return err
	})
	if errdefs.IsNotFound(err) {
		return nil
	}
	return errors.Join(err, s.SyncNames())
}

// dropUnusable removes the record of key, which lookup could not use and said why. The store is locked.
func (s *Store) dropUnusable(key string, why error) error {
	err := os.Remove(s.record(key))
	if errors.Is(err, fs.ErrNotExist) {
		return why
	}
	return err
}

// mayShare tells whether another record may name r or its bytes. Those of a committed snapshot have children and share bytes. One
// that is volatile and of another boot may have been committed then: a file system may bring its record back beside that of
// the committed one (btrfs does, when only another file was synced since).
func (s *Store) mayShare(r *record.Record) bool { return r.Kind == Committed || s.checkBoot(r) != nil }

// Forget removes the records of those of keys, committed snapshots, that no other snapshot stands on; a child may be
// among them, before its parent. It reads every record once, however many keys there are, and deletes no bytes: it
// returns the keys that are gone and the ids that Discard has to delete, which are orphans until then. What is not there or
// is stood on is left out, and so are snapshots of other kinds. What is gone is gone durably. Records that cannot be read count
// as none.
func (s *Store) Forget(ctx context.Context, keys []string) (gone, orphans []string, err error) {
	if len(keys) == 0 {
		return nil, nil, nil
	}
	err = s.locked(func() (err error) {
		gone, orphans, err = s.forget(ctx, keys)
		return err
	})
	if len(gone) > 0 {
		if syncErr := s.SyncNames(); syncErr != nil { // the sweep deletes the bytes, when it can sync
			orphans, err = nil, errors.Join(err, syncErr)
		}
	}
	if err != nil {
		err = fmt.Errorf("remove snapshots: %w", err)
	}
	return gone, orphans, err
}

// forget is Forget once the store is locked.
func (s *Store) forget(ctx context.Context, keys []string) (gone, orphans []string, err error) {
	found, children, shares := map[string]*record.Record{}, map[text]int{}, map[string]int{}
	look := func(r *record.Record) {
		children[r.Parent]++
		shares[r.ID]++
	}
	if err := s.claims(look, func(string) {}); err != nil {
		return nil, nil, err
	}
	err = s.records(func(r *record.Record) error {
		look(r)
		found[string(r.Key)] = r
		return ctx.Err()
	})
	if err != nil && !errdefs.IsDataLoss(err) {
		return nil, nil, err
	}
	var errs []error
	for _, key := range keys {
		r := found[key]
		if r == nil || r.Kind != Committed || children[r.Key] > 0 {
			continue
		}
		if err := os.Remove(s.record(key)); err != nil {
			errs = append(errs, err)
			continue
		}
		delete(found, key)
		gone = append(gone, key)
		children[r.Parent]--
		if shares[r.ID]--; shares[r.ID] == 0 {
			orphans = append(orphans, r.ID)
		}
	}
	orphans = slices.DeleteFunc(orphans, func(id string) bool { return record.Needed(maps.Values(found), id) })
	return gone, orphans, errors.Join(errs...)
}

// Discard deletes the bytes that Forget has left. One that resists does not stop the others, and is Sweep's.
func (s *Store) Discard(ctx context.Context, orphans []string) error {
	var errs []error
	for _, id := range orphans {
		if err := s.driver.Remove(ctx, id); err != nil {
			errs = append(errs, fmt.Errorf("remove snapshots: their names are gone, some bytes are left: %w", err))
		}
	}
	return errors.Join(errs...)
}

// users fails when a snapshot has, or is about to have, r as its parent, and reports whether another
// one shares its bytes. A record that is unreadable could be either, and fails too.
func (s *Store) users(r *record.Record) (shared bool, err error) {
	var child text
	look := func(other *record.Record) {
		if other.Parent == r.Key {
			child = other.Key
		}
		if other.ID == r.ID && other.Key != r.Key {
			shared = true
		}
	}
	if err := s.claims(look, func(string) {}); err != nil {
		return false, err
	}
	if err := s.records(func(other *record.Record) error { look(other); return nil }); err != nil {
		return false, err
	}
	if child != "" {
		return false, fmt.Errorf("snapshot %q is the parent of %q: %w", string(r.Key), string(child), errdefs.ErrFailedPrecondition)
	}
	return shared, nil
}

// Sweep deletes what killed processes and crashes have left: bytes that no record names, half-made
// snapshots, half-done deletions, records that were never synced and name nothing. What another
// process is working on stays. A record that was synced is never deleted, not even when its bytes
// are missing: perhaps a filesystem is not mounted. Bytes stay on which another snapshot stands, and all as long as a record
// cannot be read. One that cannot be deleted does not stop the others.
func (s *Store) Sweep(ctx context.Context) error {
	var orphans []string
	err := s.locked(func() (err error) {
		orphans, err = s.orphans()
		return err
	})
	if err == nil && len(orphans) > 0 { // who removed their records may have been killed before they were durably gone
		err = s.SyncNames()
	}
	if err != nil {
		return fmt.Errorf("sweep snapshots: %w", err)
	}
	var errs []error
	for _, id := range orphans {
		if err := ctx.Err(); err != nil {
			return err
		}
		errs = append(errs, s.driver.Remove(ctx, id))
	}
	if err := errors.Join(append(errs, layout.Sweep(ctx, s.dir))...); err != nil {
		return fmt.Errorf("sweep snapshots: %w", err)
	}
	return nil
}

// orphans removes stale claims and returns the ids in data/ that nothing names, none as long as a record cannot be read. The store is locked:
// afterwards nobody can name them any more.
func (s *Store) orphans() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "data"))
	if err != nil {
		return nil, err
	}
	named := map[string]bool{}
	var above []*record.Record
	mark := func(r *record.Record) { named[r.ID], above = true, append(above, r) }
	var stale []error
	err = s.claims(mark, func(path string) { stale = append(stale, os.Remove(path)) })
	if err := errors.Join(append(stale, err)...); err != nil {
		return nil, err
	}
	unreadable := s.records(func(r *record.Record) error { mark(r); return nil })
	if unreadable != nil && !errdefs.IsDataLoss(unreadable) {
		return nil, unreadable
	}
	if err := s.sweepRecords(); err != nil || unreadable != nil { // its bytes look like an orphan's
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if id.Is(e.Name()) && !named[e.Name()] && !record.Needed(slices.Values(above), e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// sweepRecords removes the records that a crash cut off, because they were volatile: empty ones, and
// those whose bytes are gone. The store is locked.
func (s *Store) sweepRecords() error {
	dir := filepath.Join(s.dir, "records")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, err := s.read(e.Name()); !errors.Is(err, record.ErrNone) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		r, err := record.Read(path)
		if errors.Is(err, record.ErrNone) || err == nil && r.Boot != "" {
			err = os.Remove(path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
