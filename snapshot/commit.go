package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/snapshot/claim"
	"github.com/lrun-dev/lrun/snapshot/record"
)

// Commit makes the active snapshot key, which is mounted nowhere and written to by nobody, the
// committed snapshot name, and frees key. It is durable when Commit returns: the whole filesystem is
// synced unless WithSynced says that the caller did. It takes WithLabels, WithParent, WithSize, WithDisk and
// WithMore.
//
// No such key is errdefs.ErrNotFound; one that is not active, or that is being committed by somebody
// else, errdefs.ErrFailedPrecondition; a name that is taken errdefs.ErrAlreadyExists, and key stays
// what it was.
func (s *Store) Commit(ctx context.Context, name, key string, opts ...Opt) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("commit snapshot %q: %w", key, err)
		}
	}()
	o, err := collect(opts)
	if err != nil {
		return err
	}
	if err := refuse("commit", map[string]bool{"WithVolatile": o.volatile}); err != nil {
		return err
	}
	r, c, err := s.beginCommit(name, key, o)
	if err != nil {
		return err
	}
	if err := s.finishCommit(ctx, c, r, o); err != nil {
		return errors.Join(err, s.drop(c))
	}
	return s.sync.At(atomicfile.Sync(o.more)).Dir(s.recordDir())
}

// beginCommit claims the record that key shall become.
func (s *Store) beginCommit(name, key string, o options) (r *record.Record, c *claim.Claim, err error) {
	err = s.locked(func() error {
		was, err := s.lookup(key)
		if err != nil {
			return err
		}
		if was.Kind != Active || was.Limit != nil {
			return fmt.Errorf("it is %s, not an active one without a limit: %w", was.Kind, errdefs.ErrFailedPrecondition)
		}
		if err := errors.Join(s.checkBoot(was), s.checkFree(name)); err != nil {
			return err
		}
		r = &record.Record{
			Key: text(name), Parent: was.Parent, Kind: Committed, ID: was.ID, Labels: o.labels,
			Created: time.Now().UTC(), Size: o.size, Disk: o.disk, Below: was.Below, Was: was.Bare(),
		}
		if o.parent != nil && *o.parent != string(was.Parent) {
			if err := s.rebase(r, *o.parent); err != nil {
				return err
			}
		}
		c, err = s.claim(r.ID, r)
		return err
	})
	return r, c, err
}

// rebase changes the parent in r, which has none.
func (s *Store) rebase(r *record.Record, name string) error {
	if _, ok := s.driver.(Rebaser); !ok {
		return fmt.Errorf("put it on %q: this driver copies, prepare it on its parent: %w", name, errdefs.ErrNotImplemented)
	}
	if r.Parent != "" {
		return fmt.Errorf("put it on %q: it has the parent %q: %w", name, string(r.Parent), errdefs.ErrFailedPrecondition)
	}
	parent, err := s.parent(name)
	if err != nil {
		return err
	}
	r.Parent, r.Below = text(name), parent.Under()
	return nil
}

// finishCommit freezes the bytes, then turns the record over: first what the file of key says, then
// its name. Between the two the snapshot is still the active one, which the record holds in Was.
func (s *Store) finishCommit(ctx context.Context, c *claim.Claim, r *record.Record, o options) error {
	if r.Parent != r.Was.Parent {
		if err := s.driver.(Rebaser).Rebase(ctx, asked(r)); err != nil {
			return err
		}
	}
	if err := s.driver.Commit(ctx, asked(r)); err != nil {
		return err
	}
	if !o.synced {
		if err := s.sync.Filesystem(s.dir); err != nil {
			return err
		}
	} else if err := s.sync.File(c.File); err != nil {
		return err
	}
	return s.locked(func() error {
		now, err := s.lookup(string(r.Was.Key))
		if err != nil {
			return err
		}
		if now.ID != r.ID {
			return fmt.Errorf("it was replaced meanwhile: %w", errdefs.ErrFailedPrecondition)
		}
		if err := s.checkFree(string(r.Key)); err != nil {
			return err
		}
		from := s.record(string(r.Was.Key))
		// Unless this name is synced, a crash of the machine may bring back the record that is replaced here, beside the one
		// with the other name. Of a volatile snapshot it may: see mayShare.
		if err := errors.Join(c.Publish(from), s.syncOf(r.Was).Dir(s.recordDir())); err != nil {
			return err
		}
		return os.Rename(from, s.record(string(r.Key)))
	})
}
