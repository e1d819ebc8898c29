// Package btrfs is the snapshot driver for a root on btrfs: each snapshot is a subvolume with a whole
// tree, and an active one a writable snapshot of its parent, which costs the same whatever that holds.
package btrfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/subvolume"
	"github.com/lrun-dev/lrun/internal/tree"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/snapshot"
)

// Driver keeps each snapshot as the subvolume DIR/ID/fs, which is read-only when the snapshot is
// committed. A view with a parent has none: it is the parent's tree.
type Driver struct{ dir string }

var (
	_ snapshot.Driver  = (*Driver)(nil)
	_ snapshot.Renewer = (*Driver)(nil)
)

// New returns the driver whose bytes are in dataDir, the directory data of a snapshot.Store, on btrfs.
func New(dataDir string) *Driver { return &Driver{dir: dataDir} }

// Create makes an empty subvolume, or a snapshot of the nearest parent's, which holds what the others
// have.
func (d *Driver) Create(_ context.Context, s snapshot.Snapshot) error {
	if s.Limit != nil {
		return fmt.Errorf("the btrfs driver limits no disk, for its quotas slow down the whole file system: use --driver overlayfs: %w", errdefs.ErrNotImplemented)
	}
	if err := os.Mkdir(filepath.Join(d.dir, s.ID), 0o700); err != nil {
		return err
	}
	var err error
	switch {
	case len(s.Parents) == 0:
		err = subvolume.Create(d.fs(s.ID))
	case s.Kind == snapshot.Active:
		err = subvolume.Snapshot(d.fs(s.ID), d.fs(s.Parents[0]))
	}
	if err != nil {
		return err
	}
	return s.Sync.Filesystem(d.dir)
}

// Mounts says how to mount s: a bind.
func (d *Driver) Mounts(s snapshot.Snapshot) ([]mount.Mount, error) {
	m := mount.Mount{Type: "bind", Source: d.fs(s.ID), ReadOnly: s.Kind != snapshot.Active}
	if d.borrows(s) {
		m.Source = d.fs(s.Parents[0])
	}
	return []mount.Mount{m}, nil
}

// Commit makes the subvolume of s read-only. One that has others in it is refused, as an
// errdefs.ErrFailedPrecondition: a snapshot of it would not have what they hold.
func (d *Driver) Commit(_ context.Context, s snapshot.Snapshot) error {
	return d.open(s.ID, func(f *os.File) error {
		if !subvolume.Is(f) {
			return fmt.Errorf("%q is no subvolume: %w", f.Name(), errdefs.ErrFailedPrecondition)
		}
		n, err := subvolume.Nested(f)
		if err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("%q has %d subvolumes in it, which a snapshot does not copy: replace them by directories: %w", f.Name(), n, errdefs.ErrFailedPrecondition)
		}
		return subvolume.SetReadOnly(f, true)
	})
}

// Renew makes an active snapshot writable again, whose commit was cut off after Commit.
func (d *Driver) Renew(_ context.Context, s snapshot.Snapshot) error {
	if s.Kind != snapshot.Active {
		return nil
	}
	return d.open(s.ID, func(f *os.File) error {
		if !subvolume.Is(f) { // the container of a directory has a plain copy
			return nil
		}
		return subvolume.SetReadOnly(f, false)
	})
}

// Usage counts the whole tree of s, what it shares with others included.
func (d *Driver) Usage(ctx context.Context, s snapshot.Snapshot) (snapshot.Usage, error) {
	if d.borrows(s) {
		return snapshot.Usage{}, nil
	}
	size, inodes, err := tree.Usage(ctx, d.fs(s.ID))
	return snapshot.Usage{Size: size, Inodes: inodes}, err
}

// Remove deletes id, with all subvolumes that were made in it.
func (d *Driver) Remove(ctx context.Context, id string) error {
	return snapshot.Discard(ctx, d.dir, id)
}

// open calls fn with the tree of id.
func (d *Driver) open(id string, fn func(*os.File) error) error {
	f, err := os.OpenFile(d.fs(id), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	return errors.Join(fn(f), f.Close())
}

// borrows reports whether s shows the tree of its parent.
func (d *Driver) borrows(s snapshot.Snapshot) bool {
	return s.Kind == snapshot.View && len(s.Parents) > 0
}

func (d *Driver) fs(id string) string { return filepath.Join(d.dir, id, "fs") }
