package env

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/rootfs/format"
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

// openRuntime leaves it to openRoot to report a configuration that cannot be read: then all is synced.
func (e *Env) openRuntime() *runtime.Store {
	durable, _ := e.Sync()
	return runtime.Open(e.Root(), e.State()).On(e.machine).WithSync(durable)
}

// Volumes returns the volumes of the root. It touches none of its files.
func (e *Env) Volumes() *volume.Store {
	durable, _ := e.Sync() // as in openRuntime
	return volume.Open(filepath.Join(e.Root(), "volumes")).WithSync(durable)
}

// Rootfs returns what joins images and snapshots: whatever adds, removes or uses an image.
func (e *Env) Rootfs() (*rootfs.Store, error) { return e.rootfs() }

// Understood refuses a root that is not known to be this lrun's, before anything in it is deleted. It makes none.
func (e *Env) Understood() error {
	if _, err := os.Lstat(e.Root()); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	_, err := e.Images()
	return err
}

// Readable refuses who may not read the root, and a root of another form than this lrun knows. It makes none.
func (e *Env) Readable() error {
	if err := e.Privileged(); err != nil {
		return err
	}
	return format.Check(e.Root())
}

// openRoot makes sure that the root is one that this lrun understands, and returns its path.
func (e *Env) openRoot() (string, error) {
	if err := e.Privileged(); err != nil {
		return "", err
	}
	if err := checkDriver(e.driver); err != nil { // also of who needs no driver: nothing is ignored
		return "", err
	}
	durable, err := e.Sync()
	if err != nil {
		return "", err
	}
	root := e.Root()
	return root, format.Init(root, durable)
}

func (e *Env) openBlobs() (*blob.Store, error) {
	root, err := e.store()
	if err != nil {
		return nil, err
	}
	durable, err := e.Sync()
	if err != nil {
		return nil, err
	}
	blobs, err := blob.Open(filepath.Join(root, "images"), filepath.Join(root, "ingest"))
	if err != nil {
		return nil, err
	}
	return blobs.WithSync(durable), nil
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
