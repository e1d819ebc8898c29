package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/snapshot/id"
	"github.com/lrun-dev/lrun/snapshot/record"
)

// Adopt makes the committed snapshot name on parent, which may be "", with the bytes of the
// committed like, which are shared and not copied. The driver must be a Rebaser, else it is
// errdefs.ErrNotImplemented. It takes WithLabels, WithSize and WithMore. It is durable when
// Adopt returns.
func (s *Store) Adopt(ctx context.Context, name, parent, like string, opts ...Opt) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("adopt snapshot %q: %w", like, err)
		}
	}()
	o, err := collect(opts)
	if err != nil {
		return err
	}
	if err := refuse("adopt", map[string]bool{"WithParent": o.parent != nil, "WithVolatile": o.volatile, "WithSynced": o.synced, "WithDisk": o.disk != 0}); err != nil {
		return err
	}
	driver, ok := s.driver.(Rebaser)
	if !ok {
		return fmt.Errorf("this driver copies, nothing can be shared: %w", errdefs.ErrNotImplemented)
	}
	err = s.locked(func() error {
		r, err := s.adopted(name, parent, like, o)
		if err != nil {
			return err
		}
		if err := driver.Rebase(ctx, asked(r)); err != nil {
			return err
		}
		return s.add(r)
	})
	if err != nil {
		return err
	}
	return s.sync.At(atomicfile.Sync(o.more)).Dir(s.recordDir())
}

// adopted is the record that Adopt writes. The store is locked, so that like stays.
func (s *Store) adopted(name, parent, like string, o options) (*record.Record, error) {
	if err := s.checkFree(name); err != nil {
		return nil, err
	}
	model, err := s.lookup(like)
	if err != nil {
		return nil, err
	}
	if model.Kind != Committed {
		return nil, fmt.Errorf("it is not committed: %w", errdefs.ErrInvalidArgument)
	}
	below, err := s.parent(parent)
	if err != nil {
		return nil, err
	}
	return &record.Record{
		Key: text(name), Parent: text(parent), Kind: Committed, ID: model.ID, Labels: o.labels,
		Created: time.Now().UTC(), Size: cmp.Or(o.size, model.Size), Disk: model.Disk, Below: below.Under(),
	}, nil
}

// add writes a record whose bytes are there already. The store is locked.
func (s *Store) add(r *record.Record) error {
	c, err := s.claim(id.New(), r) // a name of its own: the id is another's
	if err != nil {
		return err
	}
	if err = s.sync.File(c.File); err == nil {
		err = c.Publish(s.record(string(r.Key)))
	}
	return errors.Join(err, c.Abandon())
}

// replace puts r in the place of its record, unless the snapshot is just being committed. The store is locked.
func (s *Store) replace(r *record.Record) error {
	if err := s.unclaimed(r); err != nil {
		return err
	}
	return s.add(r)
}

// Rebases tells whether the driver is a Rebaser: whether snapshots can be filled in any order and put
// on their parents afterwards.
func (s *Store) Rebases() bool {
	_, ok := s.driver.(Rebaser)
	return ok
}
