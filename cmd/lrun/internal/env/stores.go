package env

import (
	"path/filepath"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/snapshot"
	"github.com/lrun-dev/lrun/volume"
)

// Blobs returns the blobs of the root.
func (e *Env) Blobs() (*blob.Store, error) { return e.blobs() }

// Images returns the images of the root. Whoever changes them goes through Rootfs, which locks the root.
func (e *Env) Images() (*image.Store, error) { return e.images() }

// Runtime returns the containers of the root.
func (e *Env) Runtime() *runtime.Store { return e.runtime() }

// Volumes returns the volumes of the root. It touches no disk.
func (e *Env) Volumes() *volume.Store { return volume.Open(filepath.Join(e.Root(), "volumes")) }

// Rootfs returns what joins images and snapshots: whatever adds, removes or uses an image.
func (e *Env) Rootfs() (*rootfs.Store, error) { return e.rootfs() }

// openRoot makes sure that the root is one that this lrun understands, and returns its path.
func (e *Env) openRoot() (string, error) {
	if err := e.Privileged(); err != nil {
		return "", err
	}
	if err := checkDriver(e.driver); err != nil { // also of who needs no driver: nothing is ignored
		return "", err
	}
	root := e.Root()
	return root, rootfs.InitRoot(root)
}

func (e *Env) openBlobs() (*blob.Store, error) {
	root, err := e.store()
	if err != nil {
		return nil, err
	}
	return blob.Open(filepath.Join(root, "images"), filepath.Join(root, "ingest"))
}

func (e *Env) openImages() (*image.Store, error) {
	blobs, err := e.Blobs()
	if err != nil {
		return nil, err
	}
	return image.Open(filepath.Join(e.Root(), "images"), blobs)
}

func (e *Env) openRootfs() (*rootfs.Store, error) {
	snapshots, err := e.Snapshots()
	if err != nil {
		return nil, err
	}
	return e.join(snapshots)
}

// join puts the images of the root and snapshots together.
func (e *Env) join(snapshots *snapshot.Store) (*rootfs.Store, error) {
	images, err := e.Images()
	if err != nil {
		return nil, err
	}
	blobs, err := e.Blobs()
	if err != nil {
		return nil, err
	}
	return rootfs.Open(e.Root(), images, blobs, snapshots), nil
}
