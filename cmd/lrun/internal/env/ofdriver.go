package env

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/lrun-dev/lrun/rootfs"
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

// IsDriver tells whether a root may have snapshots of a driver called name, in snapshots/NAME.
func IsDriver(name string) bool { return slices.Contains(drivers(), name) }

// drivers are all drivers.
func drivers() []string { return []string{overlayfsName, btrfsName, vfsName} }

// EachRootfs calls fn with the store of every driver that the root has snapshots of. It goes on after an error.
func (e *Env) EachRootfs(fn func(*rootfs.Store) error) error {
	return e.EachDriver(func(_ string, store *rootfs.Store) error { return fn(store) })
}

// EachDriver is EachRootfs with the name of the driver.
func (e *Env) EachDriver(fn func(driver string, store *rootfs.Store) error) error {
	root, err := e.store()
	if err != nil {
		return err
	}
	var errs []error
	for _, driver := range drivers() {
		if _, err := os.Lstat(filepath.Join(root, "snapshots", driver)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		store, err := e.rootfsOn(driver)
		if err == nil {
			err = fn(driver, store)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// rootfsOn opens what joins images with the snapshots of a driver.
func (e *Env) rootfsOn(driver string) (*rootfs.Store, error) {
	d := Driver{Name: driver}
	if driver == overlayfsName {
		d.Method = e.probe(filepath.Join(e.Root(), "snapshots"), e.State()).Method
	}
	snapshots, err := e.snapshotsOn(d)
	if err != nil {
		return nil, err
	}
	return e.join(snapshots)
}
