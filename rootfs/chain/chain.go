// Package chain makes chains of committed snapshots out of the layers of images: it unpacks what a
// driver has not yet, verifies it, and puts it together. A snapshot's name is its ChainID.
//
// Layers are unpacked without any lock of the root, which is held only while the result appears. What
// a process has unpacked by then is marked as its own by a locked file below ROOT/unpack; when the
// process dies the lock is free, and Sweep takes its leftovers away.
package chain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/rootfs/chain/lock"
	"github.com/lrun-dev/lrun/snapshot"
)

// Labels of committed snapshots.
const (
	// LabelDiffID is the DiffID of the layer that the snapshot holds.
	LabelDiffID = "dev.lrun.diffid"
	// LabelSettled is there when the layer depended on those below it when it was unpacked, so that
	// its bytes are of use in its own chain only.
	LabelSettled = "dev.lrun.settled"
	// LabelRoot is there when the layer does not name its root directory and has that of those below:
	// its bytes are of use only where that is the same.
	LabelRoot = "dev.lrun.root"
	// LabelSession is there when the layer had to be committed before its image was published, and
	// names the session that did so: see Maker.Alive.
	LabelSession = "dev.lrun.session"
)

// ErrChanged says that what somebody counted on has gone before the root was locked: look again.
var ErrChanged = errors.New("the store kept changing meanwhile: run the command again")

// Source is an image whose layers can be read.
type Source struct {
	Image image.Image
	// Open starts reading the blob of one layer (0 is the bottom) as it is stored: compressed or not.
	Open func(layer int) (io.ReadCloser, error)
}

// Task is the making of the chains of some images and what follows once they are there.
type Task struct {
	Sources []Source
	// Labels are given to every snapshot that is made, beside those of this package.
	Labels map[string]string
	// Progress, unless it is nil, is told what becomes of each layer: from several goroutines, one at a time.
	Progress func(Event)
	// Sync, unless it is nil, makes durable what the caller has written on the root's file system.
	Sync func() error
	// Sound, unless it is nil, tells whether the bytes of a committed snapshot of another chain may be shared: they are
	// what they were. It may be asked several times for one.
	Sound func(ctx context.Context, name string) (bool, error)
	// Unlike says that no other chain has a layer like those that are missing, or none that is worth a look at all.
	Unlike bool
	// DiffID, unless it is nil, returns the DiffID of what the blob of a layer holds (0 is the bottom). It is asked for layers
	// that need not be unpacked, one at a time.
	DiffID func(ctx context.Context, src *Source, layer int) (digest.Digest, error)
	// Finish is called with the root locked and all chains there. When it fails, nothing that it did
	// may remain.
	Finish func(ctx context.Context) error
	// Retract is called with the root locked when the task has failed: it removes those of the
	// committed snapshots names, children before parents, that nobody else has come to need.
	Retract func(ctx context.Context, names []string) error
}

// Maker makes chains for one driver. Any number of them, in any number of processes, work at once.
type Maker struct {
	root      string
	snapshots *snapshot.Store
	unordered bool
}

// New returns the maker for the snapshots of the store whose root is root. It touches no disk.
func New(root string, snapshots *snapshot.Store) *Maker {
	return &Maker{root: root, snapshots: snapshots, unordered: snapshots.Rebases()}
}

// maxAttempts bounds how often work is done again. Each time needs somebody else to remove at the
// very moment what this process needs.
const maxAttempts = 16

// Retry calls do until what it returns is not ErrChanged, a few times at most.
func Retry(do func() error) error {
	var err error
	for range maxAttempts {
		if err = do(); !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return err
}

// Present returns how many of chains, the ChainIDs of an image, are committed, from the bottom: a
// snapshot is never there without its parents, but for damage, which package heal repairs. When all are, it costs one look.
func (m *Maker) Present(ctx context.Context, chains []digest.Digest) (int, error) {
	n, _, err := m.present(ctx, chains)
	return n, err
}

// present is Present, and the topmost of those that are there.
func (m *Maker) present(ctx context.Context, chains []digest.Digest) (n int, top snapshot.Info, err error) {
	for n := len(chains); n > 0; n-- {
		info, err := m.snapshots.Stat(ctx, chains[n-1].String())
		if err == nil && info.Kind == snapshot.Committed {
			return n, info, nil
		}
		if err != nil && !Absent(err) {
			return 0, info, err
		}
	}
	return 0, top, nil
}

// Absent tells that a snapshot that somebody asked for is not there, or has a record that cannot be read, which counts as none.
func Absent(err error) bool { return errdefs.IsNotFound(err) || errdefs.IsDataLoss(err) }

// Locked calls do with the root's lock held exclusively: no image appears or goes, and no container
// is put on one, but for what do does.
func (m *Maker) Locked(ctx context.Context, do func() error) error {
	return m.withLock(ctx, flock.Exclusive, do)
}

// LockedShared calls do with the root's lock held together with others: no image appears or goes.
func (m *Maker) LockedShared(ctx context.Context, do func() error) error {
	return m.withLock(ctx, flock.Shared, do)
}

// withLock calls do with the root's lock, which acquire takes.
func (m *Maker) withLock(ctx context.Context, acquire func(path string) (*flock.Lock, error), do func() error) (err error) {
	l, err := lock.Wait(ctx, acquire, filepath.Join(m.root, "lock"), (*flock.Lock).Unlock)
	if err != nil {
		return fmt.Errorf("lock root %q: %w", m.root, err)
	}
	defer func() { err = errors.Join(err, l.Unlock()) }()
	return do()
}
