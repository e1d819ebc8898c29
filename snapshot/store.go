package snapshot

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/boot"
	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/snapshot/layout"
	"github.com/lrun-dev/lrun/snapshot/record"
)

// Store keeps the snapshots of one driver. Any number of processes and goroutines use one directory
// at the same time, and any of them may be killed at any moment: a snapshot is there whole or not at
// all. What every change does, in this order:
//
//	claim     staging/ID.json, flocked, says what is being made and holds its parent in place
//	work      the driver fills data/ID, with no lock held
//	publish   the claim is renamed into records/
//	remove    the record goes first; data/ID is renamed into staging/, then deleted
//
// The lock is held for each step of the bookkeeping, and never while bytes are made, synced or deleted.
type Store struct {
	dir    string
	driver Driver
	sync   atomicfile.Sync
	boot   func() (string, error)
}

// Open returns the store in dir, which it makes when it is missing. Nothing is kept open. A store that has bytes and has lost
// its records is refused: see layout.Make.
func Open(dir string, d Driver) (*Store, error) { return OpenWith(dir, d, atomicfile.Durable) }

// OpenWith is Open of a store that, when durable is atomicfile.Volatile, syncs nothing, whatever its methods promise to be
// durable: after a crash of the machine it may be damaged in ways that nothing finds but a check of every file.
func OpenWith(dir string, d Driver, durable atomicfile.Sync) (*Store, error) {
	if err := layout.Make(dir, durable); err != nil {
		return nil, fmt.Errorf("open snapshot store: %w", err)
	}
	return &Store{dir: dir, driver: d, sync: durable, boot: sync.OnceValues(boot.ID)}, nil
}

// Sync tells whether the store syncs what has to be durable. Who writes to its snapshots does as it does.
func (s *Store) Sync() atomicfile.Sync { return s.sync }

// Stat returns what is known of key, or an errdefs.ErrNotFound. It reads one small file.
func (s *Store) Stat(_ context.Context, key string) (Info, error) {
	r, err := s.lookup(key)
	if err != nil {
		return Info{}, err
	}
	return infoOf(r), nil
}

// Walk calls fn for each snapshot, in no useful order, until fn fails. One that is removed meanwhile
// may be left out. A record that is unreadable does not hide the others: it is in the error,
// errdefs.ErrDataLoss, that Walk returns in the end.
func (s *Store) Walk(ctx context.Context, fn func(Info) error) error {
	return s.records(func(r *record.Record) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return fn(infoOf(r))
	})
}

// Chain returns key and all below it, key first. It reads one small file for each. A chain with a gap, and one in which a record
// does not say what is below it, is errdefs.ErrDataLoss; one that is removed meanwhile is errdefs.ErrNotFound, and one that is removed
// and made anew errdefs.ErrConflict.
func (s *Store) Chain(ctx context.Context, key string) ([]Info, error) {
	r, err := s.lookup(key)
	if err != nil {
		return nil, err
	}
	var chain []Info
	for ; r != nil; r, err = s.below(r) { // each names one less below it: a circle ends
		chain = append(chain, infoOf(r))
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	return chain, nil
}

// below returns the parent of r, nil when it has none, if it is there and r names just that and all below it.
func (s *Store) below(r *record.Record) (parent *record.Record, err error) {
	if r.Parent != "" {
		parent, err = s.lookup(string(r.Parent))
	}
	if errors.Is(err, errdefs.ErrNotFound) || err == nil && !r.On(parent) {
		now, err := s.lookup(string(r.Key)) // it may have been removed, and then its parent
		return nil, r.NotOn(now, err)
	}
	return parent, err
}

// checkBelow is below for a driver that mounts what r names below it; to others it means nothing.
func (s *Store) checkBelow(r *record.Record) error {
	if !s.Rebases() {
		return nil
	}
	_, err := s.below(r)
	return err
}

// Mounts says how to mount the active snapshot or view key, which it makes ready for that: every mount in turn at the same place.
// A committed one is errdefs.ErrFailedPrecondition (take a View), and so is a volatile one that was
// made before the machine last started, or one that is just being committed. The Store does not know what is mounted: the same active
// snapshot must not be mounted twice at once, nor Mounts be called while it is being mounted.
func (s *Store) Mounts(ctx context.Context, key string) ([]mount.Mount, error) {
	return s.mounts(key, func(r *record.Record) error { return s.renew(ctx, r) })
}

// Look is Mounts for who mounts nothing, or nothing that is written to. It changes nothing, whoever mounts key meanwhile.
func (s *Store) Look(_ context.Context, key string) ([]mount.Mount, error) {
	return s.mounts(key, func(*record.Record) error { return nil })
}

// mounts lets ready do its work, unless key cannot be mounted.
func (s *Store) mounts(key string, ready func(*record.Record) error) ([]mount.Mount, error) {
	r, err := s.lookup(key)
	if err != nil {
		return nil, err
	}
	if r.Kind == Committed {
		return nil, fmt.Errorf("mount snapshot %q: it is committed, take a view of it: %w", key, errdefs.ErrFailedPrecondition)
	}
	if err = errors.Join(s.checkBoot(r), s.checkBelow(r)); err == nil {
		err = ready(r)
	}
	if err != nil {
		return nil, fmt.Errorf("mount snapshot %q: %w", key, err)
	}
	return s.driver.Mounts(asked(r))
}

// renew lets the driver renew r, unless it is being committed, or was meanwhile: what is frozen then
// has to stay so.
func (s *Store) renew(ctx context.Context, r *record.Record) error {
	d, ok := s.driver.(Renewer)
	if !ok {
		return nil
	}
	return s.locked(func() error {
		now, err := s.lookup(string(r.Key))
		if err != nil {
			return err
		}
		if now.ID != r.ID || now.Kind != r.Kind {
			return fmt.Errorf("it was replaced meanwhile: %w", errdefs.ErrFailedPrecondition)
		}
		if err := s.unclaimed(r); err != nil {
			return err
		}
		return d.Renew(ctx, asked(r))
	})
}

// checkBoot refuses a volatile snapshot of an earlier boot.
func (s *Store) checkBoot(r *record.Record) error {
	if r.Boot == "" {
		return nil
	}
	boot, err := s.boot()
	if err == nil && boot != r.Boot {
		err = fmt.Errorf("it was made without syncing, and the machine has started again since; remove it: %w", errdefs.ErrFailedPrecondition)
	}
	return err
}

// Usage counts what key alone takes on disk, which may walk all its files.
func (s *Store) Usage(ctx context.Context, key string) (Usage, error) {
	r, err := s.lookup(key)
	if err != nil {
		return Usage{}, err
	}
	return s.driver.Usage(ctx, asked(r))
}

// Path returns the directory of key's own bytes: an upperdir or a layer's directory for overlayfs, a
// whole tree for a driver that copies. A view has none and is errdefs.ErrInvalidArgument.
func (s *Store) Path(_ context.Context, key string) (string, error) {
	r, err := s.lookup(key)
	if err != nil {
		return "", err
	}
	if r.Kind == View {
		return "", fmt.Errorf("path of snapshot %q: a view has no bytes of its own: %w", key, errdefs.ErrInvalidArgument)
	}
	return filepath.Join(s.data(r.ID), "fs"), nil
}

// ManifestPath returns where the manifest of a committed snapshot's files is (package layer/manifest), beside what Path
// names. A snapshot that was committed without one has no file there. Snapshots that share their bytes share it.
// Whoever writes it does so before Commit. A view is errdefs.ErrInvalidArgument.
func (s *Store) ManifestPath(ctx context.Context, key string) (string, error) {
	fs, err := s.Path(ctx, key)
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(fs), "manifest"), nil
}

// data is the directory of an id.
func (s *Store) data(id string) string { return filepath.Join(s.dir, "data", id) }

// record is the file of a key.
func (s *Store) record(key string) string { return filepath.Join(s.dir, "records", fileName(key)) }

// locked runs fn, which must be quick, while no other process changes the bookkeeping.
func (s *Store) locked(fn func() error) error {
	l, err := flock.Exclusive(filepath.Join(s.dir, "lock"))
	if err != nil {
		return err
	}
	return errors.Join(fn(), l.Unlock())
}
