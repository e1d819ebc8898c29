// Package overlayfs is the snapshot driver that shares every layer: a snapshot holds only what
// differs from its parents, and the kernel's overlayfs merges them.
package overlayfs

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/lrun-dev/lrun/internal/tree"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/overlay"
	"github.com/lrun-dev/lrun/snapshot"
	"github.com/lrun-dev/lrun/snapshot/quota"
)

// Driver keeps each snapshot in DIR/ID: fs is its upperdir, and later a lowerdir; work its workdir.
// A view with parents has neither.
type Driver struct {
	dir    string
	method mount.Method
}

var (
	_ snapshot.Driver  = (*Driver)(nil)
	_ snapshot.Rebaser = (*Driver)(nil)
	_ snapshot.Renewer = (*Driver)(nil)
)

// New returns the driver whose bytes are in dataDir, the directory data of a snapshot.Store. It must
// not lie on overlayfs. method is what overlay.Probe found there.
func New(dataDir string, method mount.Method) *Driver { return &Driver{dir: dataDir, method: method} }

// Create makes the empty upperdir of s, whose root looks like that of the nearest parent, and its
// workdir. It costs the same whatever the parents hold. More parents than an overlay can have are
// refused here already, as an errdefs.ErrInvalidArgument.
func (d *Driver) Create(ctx context.Context, s snapshot.Snapshot) error {
	if _, err := d.Mounts(s); err != nil {
		return err
	}
	base := filepath.Join(d.dir, s.ID)
	if err := os.Mkdir(base, 0o700); err != nil {
		return err
	}
	if s.Limit != nil {
		return s.Limit.Make(ctx, base, s.Sync, s.Volatile, func(home string) error { return d.fill(home, s) })
	}
	if s.Kind == snapshot.Active || len(s.Parents) == 0 {
		if err := d.fill(base, s); err != nil {
			return err
		}
	}
	return d.sync(s)
}

// sync makes the directories of a new snapshot durable: what they are, then their names. The order is that of what names
// what, from the inside.
func (d *Driver) sync(s snapshot.Snapshot) error {
	var errs []error
	if s.Kind == snapshot.Active || len(s.Parents) == 0 {
		errs = append(errs, s.Sync.Dir(d.fs(s.ID)), s.Sync.Dir(d.work(s.ID)))
	}
	return errors.Join(append(errs, s.Sync.Dir(filepath.Join(d.dir, s.ID)), s.Sync.Dir(d.dir))...)
}

// fill makes the directories of a snapshot that has some, in home.
func (d *Driver) fill(home string, s snapshot.Snapshot) error {
	if err := os.Mkdir(filepath.Join(home, "work"), 0o700); err != nil {
		return err
	}
	root := filepath.Join(home, "fs")
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	if len(s.Parents) == 0 {
		return os.Chmod(root, 0o755) // whatever the umask
	}
	return tree.CopyRoot(root, d.fs(s.Parents[0]))
}

// Mounts says how to mount s: an overlay, or a bind where one directory is all there is.
func (d *Driver) Mounts(s snapshot.Snapshot) ([]mount.Mount, error) {
	lowers := make([]string, 0, len(s.Parents)+1)
	upper, work := d.fs(s.ID), d.work(s.ID)
	if s.Kind != snapshot.Active {
		if len(s.Parents) == 0 {
			lowers = append(lowers, upper)
		}
		upper, work = "", ""
	}
	for _, id := range s.Parents {
		lowers = append(lowers, d.fs(id))
	}
	// What is in an image is synced when that is unmounted.
	m, err := overlay.Mount(lowers, upper, work, overlay.Options{Volatile: s.Volatile && !s.Limit.Inside(), Method: d.method})
	if err != nil {
		return nil, err
	}
	m.Over = s.Limit.Over(filepath.Join(d.dir, s.ID))
	return []mount.Mount{m}, nil
}

// Commit has nothing to do: an upperdir is a lowerdir as soon as nobody writes to it. The workdir
// stays, so that the snapshot is still an active one if the Store gets no further.
func (d *Driver) Commit(context.Context, snapshot.Snapshot) error { return nil }

// Rebase has nothing to do, for an upperdir names no parent, but refuses, as Create does, a chain on
// which nothing could be mounted.
func (d *Driver) Rebase(_ context.Context, s snapshot.Snapshot) error {
	_, err := d.Mounts(snapshot.Snapshot{Kind: snapshot.View, Parents: append([]string{s.ID}, s.Parents...)})
	return err
}

// Renew lets a volatile snapshot be mounted once more.
func (d *Driver) Renew(_ context.Context, s snapshot.Snapshot) error {
	if !s.Volatile || s.Limit.Inside() {
		return nil
	}
	return overlay.Renew(d.work(s.ID))
}

// Usage counts the files of the upperdir, whiteouts included.
func (d *Driver) Usage(ctx context.Context, s snapshot.Snapshot) (snapshot.Usage, error) {
	if s.Kind == snapshot.View && len(s.Parents) > 0 {
		return snapshot.Usage{}, nil
	}
	size, inodes, err := quota.Usage(ctx, d.fs(s.ID), s.Limit)
	return snapshot.Usage{Size: size, Inodes: inodes}, err
}

// Remove deletes id.
func (d *Driver) Remove(ctx context.Context, id string) error {
	return errors.Join(quota.Release(filepath.Join(d.dir, id)), snapshot.Discard(ctx, d.dir, id))
}

func (d *Driver) fs(id string) string   { return filepath.Join(d.dir, id, "fs") }
func (d *Driver) work(id string) string { return filepath.Join(d.dir, id, "work") }
