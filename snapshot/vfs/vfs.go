// Package vfs is the snapshot driver for where overlayfs cannot be had: an active snapshot is a full
// copy of its parent. It works on any filesystem, and takes as much room and time as that.
package vfs

import (
	"context"
	"os"
	"path/filepath"

	"github.com/lrun-dev/lrun/internal/tree"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/snapshot"
)

// Driver keeps each snapshot as a whole tree in DIR/ID/fs. A view with a parent has none: it is the
// parent's tree, read-only.
type Driver struct{ dir string }

var _ snapshot.Driver = (*Driver)(nil)

// New returns the driver whose bytes are in dataDir, the directory data of a snapshot.Store.
func New(dataDir string) *Driver { return &Driver{dir: dataDir} }

// Create copies the tree of the nearest parent, which holds those of the others. Where the filesystem
// has reflinks the bytes are shared.
func (d *Driver) Create(ctx context.Context, s snapshot.Snapshot) error {
	if err := os.Mkdir(filepath.Join(d.dir, s.ID), 0o700); err != nil {
		return err
	}
	root := d.fs(s.ID)
	switch {
	case len(s.Parents) == 0:
		if err := os.Mkdir(root, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(root, 0o755); err != nil { // whatever the umask
			return err
		}
	case s.Kind == snapshot.Active:
		if err := tree.Copy(ctx, root, d.fs(s.Parents[0])); err != nil {
			return err
		}
	}
	return s.Sync.Filesystem(d.dir) // one call instead of one for each file
}

// Mounts says how to mount s: a bind.
func (d *Driver) Mounts(s snapshot.Snapshot) ([]mount.Mount, error) {
	m := mount.Mount{Type: "bind", Source: d.fs(s.ID), ReadOnly: s.Kind != snapshot.Active}
	if d.borrows(s) {
		m.Source = d.fs(s.Parents[0])
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
	size, inodes, err := tree.Usage(ctx, d.fs(s.ID))
	return snapshot.Usage{Size: size, Inodes: inodes}, err
}

// Remove deletes id.
func (d *Driver) Remove(ctx context.Context, id string) error {
	return snapshot.Discard(ctx, d.dir, id)
}

// borrows reports whether s shows the tree of its parent.
func (d *Driver) borrows(s snapshot.Snapshot) bool {
	return s.Kind == snapshot.View && len(s.Parents) > 0
}

func (d *Driver) fs(id string) string { return filepath.Join(d.dir, id, "fs") }
