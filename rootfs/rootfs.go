// Package rootfs turns images into root file systems: it unpacks an image's layers into a chain of
// committed snapshots, puts a container's active snapshot on top, and takes both away again.
//
// It is the only package that changes images and snapshots together, so it holds the root's lock:
// shared while a container's snapshot is put on its image, exclusive while an image appears or
// goes. Layers are unpacked without that lock. What a process has unpacked and not yet published is
// marked as its own by a locked file below ROOT/unpack; when the process dies the lock is free, and
// Sweep takes its leftovers away.
package rootfs

import (
	"context"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/rootfs/chain"
	"github.com/lrun-dev/lrun/rootfs/dropped"
	"github.com/lrun-dev/lrun/snapshot"
)

// Labels of snapshots.
const (
	// LabelImage is, of an active snapshot, the ID of the image it was prepared from.
	LabelImage = "dev.lrun.image"
	// LabelBuiltIn is, of a layer of a built-in image, the name of that image. No record in the image
	// store keeps such a layer; the label does.
	LabelBuiltIn = "dev.lrun.builtin"
)

// Store joins the stores of one root for one driver. Any number of processes use one root at once.
type Store struct {
	Images    *image.Store
	Blobs     *blob.Store
	Snapshots *snapshot.Store

	root    string
	chains  *chain.Maker
	dropped *dropped.Store
}

// Open joins the stores of root, which format.Init has checked. It touches no disk.
func Open(root string, images *image.Store, blobs *blob.Store, snapshots *snapshot.Store) *Store {
	return &Store{
		Images: images, Blobs: blobs, Snapshots: snapshots,
		root: root, chains: chain.New(root, snapshots), dropped: dropped.New(root, images, blobs),
	}
}

// DropBlobs removes the blobs of layers whose tar can be put together again from the unpacked files, of whichever drivers: see
// dropped.Store.Drop.
func (s *Store) DropBlobs(ctx context.Context, o dropped.Options) error {
	return s.dropped.Drop(ctx, s.chains.Locked, o)
}

// Dropped stands in for the blobs that are not kept.
func (s *Store) Dropped() *dropped.Store { return s.dropped }
