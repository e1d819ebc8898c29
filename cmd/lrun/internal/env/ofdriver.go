package env

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/snapshot"
	"github.com/lrun-dev/lrun/snapshot/overlayfs"
	"github.com/lrun-dev/lrun/snapshot/vfs"
)

// RootfsOf is Rootfs for a container that was made with another driver than this process would choose.
func (e *Env) RootfsOf(driver string) (*rootfs.Store, error) {
	chosen, err := e.Driver()
	if err != nil {
		return nil, err
	}
	if driver == chosen.Name {
		return e.Rootfs()
	}
	return e.rootfsOn(driver)
}

// EachRootfs calls fn with the store of every driver that the root has snapshots of. It probes nothing.
func (e *Env) EachRootfs(fn func(*rootfs.Store) error) error {
	root, err := e.store()
	if err != nil {
		return err
	}
	var errs []error
	for _, driver := range []string{overlayfsName, vfsName} {
		if _, err := os.Lstat(filepath.Join(root, "snapshots", driver)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		store, err := e.rootfsOn(driver)
		if err == nil {
			err = fn(store)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (e *Env) rootfsOn(driver string) (*rootfs.Store, error) {
	images, err := e.Images()
	if err != nil {
		return nil, err
	}
	blobs, err := e.Blobs()
	if err != nil {
		return nil, err
	}
	snapshots, err := e.snapshotsOn(driver)
	if err != nil {
		return nil, err
	}
	return rootfs.Open(e.Root(), images, blobs, snapshots), nil
}

func (e *Env) snapshotsOn(driver string) (*snapshot.Store, error) {
	dir := filepath.Join(e.Root(), "snapshots", driver)
	data := filepath.Join(dir, "data")
	if driver == vfsName {
		return snapshot.Open(dir, vfs.New(data))
	}
	method := e.probe(filepath.Join(e.Root(), "snapshots"), e.State()).Method
	return snapshot.Open(dir, overlayfs.New(data, method))
}
