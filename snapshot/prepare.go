package snapshot

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/snapshot/claim"
	"github.com/lrun-dev/lrun/snapshot/id"
	"github.com/lrun-dev/lrun/snapshot/record"
)

// Prepare makes the active snapshot key on the committed parent, or an empty one when parent is "".
// A key in use is errdefs.ErrAlreadyExists, no such parent errdefs.ErrNotFound, a parent that is not
// committed errdefs.ErrInvalidArgument. Unless it is volatile it survives a crash of the machine
// from the moment Prepare returns; what is written to it later does not without a sync.
func (s *Store) Prepare(ctx context.Context, key, parent string, opts ...Opt) (Info, error) {
	return made(s.create(ctx, Active, key, parent, opts))
}

// PrepareMounts is Prepare and then Mounts, without reading again what was just written.
func (s *Store) PrepareMounts(ctx context.Context, key, parent string, opts ...Opt) ([]mount.Mount, error) {
	r, err := s.create(ctx, Active, key, parent, opts)
	if err != nil {
		return nil, err
	}
	mounts, err := s.driver.Mounts(asked(r))
	if err != nil {
		return nil, errors.Join(err, s.Remove(context.WithoutCancel(ctx), key))
	}
	return mounts, nil
}

// View makes a read-only snapshot key of parent, with the rules of Prepare.
func (s *Store) View(ctx context.Context, key, parent string, opts ...Opt) (Info, error) {
	return made(s.create(ctx, View, key, parent, opts))
}

// made is what is known of a snapshot that was just made.
func made(r *record.Record, err error) (Info, error) {
	if err != nil {
		return Info{}, err
	}
	return infoOf(r), nil
}

// create claims, works and publishes.
func (s *Store) create(ctx context.Context, kind Kind, key, parent string, opts []Opt) (r *record.Record, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("prepare %s snapshot: %w", kind, err)
		}
	}()
	o, err := collect(opts)
	if err != nil {
		return nil, err
	}
	if err := refuse("prepare", map[string]bool{"WithParent": o.parent != nil, "WithSynced": o.synced, "WithSize": o.size != 0, "WithMore": o.more, "WithDisk": o.disk != 0}); err != nil {
		return nil, err
	}
	r = &record.Record{Key: text(key), Parent: text(parent), Kind: kind, ID: id.New(), Labels: o.labels, Created: time.Now().UTC(), Limit: o.limit}
	if o.volatile {
		if r.Boot, err = s.boot(); err != nil {
			return nil, err
		}
	}
	c, err := s.begin(r)
	if err != nil {
		return nil, err
	}
	if err := s.finish(ctx, c, r); err != nil {
		// The bytes first: as long as the claim is there, the sweep takes them for ours.
		return nil, errors.Join(err, s.driver.Remove(context.WithoutCancel(ctx), r.ID), s.drop(c))
	}
	return r, nil
}

// begin checks r against what is there, and claims it.
func (s *Store) begin(r *record.Record) (c *claim.Claim, err error) {
	err = s.locked(func() error {
		if err := s.checkFree(string(r.Key)); err != nil {
			return err
		}
		parent, err := s.parent(string(r.Parent))
		if err != nil {
			return err
		}
		r.Below = parent.Under()
		c, err = s.claim(r.ID, r)
		return err
	})
	return c, err
}

// finish makes the bytes of r and names them.
func (s *Store) finish(ctx context.Context, c *claim.Claim, r *record.Record) error {
	told := asked(r)
	told.Sync = s.syncOf(r)
	if err := s.driver.Create(ctx, told); err != nil {
		return err
	}
	if err := told.Sync.File(c.File); err != nil {
		return err
	}
	err := s.locked(func() error {
		if err := s.checkFree(string(r.Key)); err != nil {
			return err
		}
		return c.Publish(s.record(string(r.Key)))
	})
	if err != nil {
		return err
	}
	return told.Sync.Dir(s.recordDir())
}

// syncOf is what r and its bytes need: nothing if they are volatile.
func (s *Store) syncOf(r *record.Record) atomicfile.Sync { return s.sync.At(r.Boot != "") }

// checkFree fails when key names a snapshot, of whatever kind.
func (s *Store) checkFree(key string) error {
	taken, err := s.exists(key)
	if taken {
		return fmt.Errorf("snapshot %q: %w", key, errdefs.ErrAlreadyExists)
	}
	return err
}

// parent reads the record of a parent, and none for "".
func (s *Store) parent(name string) (*record.Record, error) {
	if name == "" {
		return nil, nil
	}
	r, err := s.lookup(name)
	if err != nil {
		return nil, fmt.Errorf("parent: %w", err)
	}
	if r.Kind != Committed {
		return nil, fmt.Errorf("parent %q is not committed: %w", name, errdefs.ErrInvalidArgument)
	}
	return r, s.checkBelow(r)
}

// recordDir holds the records.
func (s *Store) recordDir() string { return filepath.Join(s.dir, "records") }

// SyncNames makes durable which snapshots there are: what Commit and Adopt have made WithMore, and what is gone.
func (s *Store) SyncNames() error { return s.sync.Dir(s.recordDir()) }
