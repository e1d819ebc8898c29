// Package snapshot keeps filesystem trees that build on one another: read-only committed ones, and
// active ones and views on top of them. The verbs and their meaning are containerd's. Store does the
// bookkeeping, once; a Driver keeps the bytes.
package snapshot

import (
	"context"
	"time"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/snapshot/quota"
	"github.com/lrun-dev/lrun/snapshot/record"
)

// Kind is what may be done with a snapshot.
type Kind = record.Kind

const (
	// Active can be written to, and becomes committed by Commit.
	Active = record.Active
	// View can be read only, and cannot be committed.
	View = record.View
	// Committed never changes again, and can be a parent.
	Committed = record.Committed
)

// Limit bounds what a snapshot takes on disk: see WithLimit.
type Limit = quota.Limit

// Info is what the Store knows of a snapshot.
type Info struct {
	// Key names the snapshot; no two snapshots of whatever kinds have the same.
	Key string
	// Parent is the name of the committed snapshot below, or empty.
	Parent string
	Kind   Kind
	// ID is the driver's. Committed snapshots that share their bytes have the same.
	ID      string
	Labels  map[string]string
	Created time.Time
	// Updated is when Relabel changed it last, or else Created.
	Updated time.Time
	// Size is what WithSize recorded, or 0; Store.Usage counts.
	Size int64
	// Disk is what WithDisk recorded, or 0.
	Disk int64
	// Volatile is that of WithVolatile.
	Volatile bool
	// Limit is that of WithLimit.
	Limit *Limit
}

// Snapshot is what a Driver is told of a snapshot.
type Snapshot struct {
	ID   string
	Kind Kind
	// Parents are the ids below, nearest first. An id may be there twice.
	Parents []string
	// Volatile says that the snapshot need not survive a crash of the machine.
	Volatile bool
	// Sync says whether what Create makes has to be durable when it returns: never if Volatile.
	Sync atomicfile.Sync
	// Limit bounds what the snapshot may take; nil: nothing does.
	Limit *Limit
}

// Usage is what a snapshot alone takes, without its parents.
type Usage struct {
	// Size is bytes on disk, Inodes the number of files; a file with several names counts once.
	Size, Inodes int64
}

// Driver keeps the bytes of snapshots. It knows ids, never keys: Store owns keys, kinds and parents,
// and never runs two calls for one id at once. All of id is below the directory data/ID of the
// Store, which exists as long as the snapshot does; the tree of a snapshot that has bytes of its own
// is data/ID/fs, or where quota.In finds it when the snapshot has a limit.
type Driver interface {
	// Create makes s, empty or on top of s.Parents. Unless s is volatile, it is durable when Create
	// returns. After an error the Store calls Remove.
	Create(ctx context.Context, s Snapshot) error
	// Mounts says how to mount s. It touches no disk.
	Mounts(s Snapshot) ([]mount.Mount, error)
	// Commit freezes s, which is not mounted. Most drivers have nothing to do.
	Commit(ctx context.Context, s Snapshot) error
	// Usage counts s alone, never its parents; it may walk every file.
	Usage(ctx context.Context, s Snapshot) (Usage, error)
	// Remove deletes all of id, and data/ID first of all and at once: Discard does it. Removing what
	// is gone is not an error.
	Remove(ctx context.Context, id string) error
}

// Rebaser is a Driver whose snapshots keep only what differs from their parents, so that the same
// bytes serve on any parent.
type Rebaser interface {
	// Rebase puts s, which was made without parents or has other ones already, on s.Parents. It is quick.
	Rebase(ctx context.Context, s Snapshot) error
}

// Renewer is a Driver whose snapshots may need work before they are mounted once more.
type Renewer interface {
	// Renew makes s, an active snapshot or a view, mountable again. It may have been mounted before, and
	// an active one may be where a Commit was cut off after the driver's. If s is volatile, the machine
	// has not crashed since it was made. Renew is quick.
	Renew(ctx context.Context, s Snapshot) error
}
