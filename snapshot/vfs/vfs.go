// Package vfs is the snapshot driver for where overlayfs cannot be had: an active snapshot is a full
// copy of its parent. It works on any filesystem, and takes as much room and time as that. What the filesystem can
// share it shares: on btrfs the whole tree, as a snapshot of a subvolume, elsewhere the bytes of files by reflinks.
package vfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lrun-dev/lrun/internal/subvolume"
	"github.com/lrun-dev/lrun/internal/tree"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/snapshot"
	"github.com/lrun-dev/lrun/snapshot/quota"
)

// Driver keeps each snapshot as a whole tree in DIR/ID/fs. A view with a parent has none: it is the
// parent's tree, read-only.
type Driver struct{ dir string }

var _ snapshot.Driver = (*Driver)(nil)

// New returns the driver whose bytes are in dataDir, the directory data of a snapshot.Store.
func New(dataDir string) *Driver { return &Driver{dir: dataDir} }

// Create copies the tree of the nearest parent, which holds those of the others.
func (d *Driver) Create(ctx context.Context, s snapshot.Snapshot) error {
	if err := os.Mkdir(filepath.Join(d.dir, s.ID), 0o700); err != nil {
		return err
	}
	if s.Limit != nil {
		err := s.Limit.Make(ctx, filepath.Join(d.dir, s.ID), s.Sync, s.Volatile, func(home string) error { return d.fill(ctx, home, s) })
		return d.tooLarge(ctx, s, err)
	}
	if err := d.fill(ctx, filepath.Join(d.dir, s.ID), s); err != nil {
		return err
	}
	return s.Sync.Filesystem(d.dir) // one call instead of one for each file
}

// fill makes the tree of s in home.
func (d *Driver) fill(ctx context.Context, home string, s snapshot.Snapshot) error {
	root := filepath.Join(home, "fs")
	switch {
	case len(s.Parents) == 0:
		return makeRoot(root)
	case s.Kind == snapshot.Active:
		parent := d.fs(s.Parents[0])
		if shared, err := subvolume.Copy(root, parent); err != nil || shared {
			return err
		}
		return tree.Copy(ctx, root, parent)
	}
	return nil
}

// makeRoot makes an empty tree, on btrfs as a subvolume.
func makeRoot(path string) error {
	if ok, err := subvolume.Supported(filepath.Dir(path)); err != nil {
		return err
	} else if ok {
		return subvolume.Create(path)
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	return os.Chmod(path, 0o755) // whatever the umask
}

// tooLarge explains an err of a copy that has reached the limit of s.
func (d *Driver) tooLarge(ctx context.Context, s snapshot.Snapshot, err error) error {
	if !quota.Reached(err) || len(s.Parents) == 0 {
		return err
	}
	size, _, countErr := tree.Usage(ctx, d.fs(s.Parents[0]))
	return errors.Join(fmt.Errorf("the vfs driver copies the image, which takes %d bytes, and the limit of the copy and all that is written is %d bytes: "+
		"give more, or use the overlayfs driver: %w", size, s.Limit.Size, err), countErr)
}

// Mounts says how to mount s: a bind.
func (d *Driver) Mounts(s snapshot.Snapshot) ([]mount.Mount, error) {
	m := mount.Mount{Type: "bind", Source: d.fs(s.ID), ReadOnly: s.Kind != snapshot.Active}
	if d.borrows(s) {
		m.Source = d.fs(s.Parents[0])
	} else {
		m.Over = s.Limit.Over(filepath.Join(d.dir, s.ID))
	}
	return []mount.Mount{m}, nil
}

// Commit has nothing to do.
func (d *Driver) Commit(context.Context, snapshot.Snapshot) error { return nil }

// Usage counts the whole tree, what was copied from the parents included.
func (d *Driver) Usage(ctx context.Context, s snapshot.Snapshot) (snapshot.Usage, error) {
	if d.borrows(s) {
		return snapshot.Usage{}, nil
	}
	size, inodes, err := quota.Usage(ctx, d.fs(s.ID), s.Limit)
	return snapshot.Usage{Size: size, Inodes: inodes}, err
}

// Remove deletes id.
func (d *Driver) Remove(ctx context.Context, id string) error {
	return errors.Join(quota.Release(filepath.Join(d.dir, id)), snapshot.Discard(ctx, d.dir, id))
}

// borrows reports whether s shows the tree of its parent.
func (d *Driver) borrows(s snapshot.Snapshot) bool {
	return s.Kind == snapshot.View && len(s.Parents) > 0
}

func (d *Driver) fs(id string) string { return filepath.Join(d.dir, id, "fs") }
