package env

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/snapshot/layout"
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

// EachWhole is EachRootfs without the drivers that have lost their records: whose snapshots they have is not known, and they
// must not keep the containers of the others from going.
func (e *Env) EachWhole(fn func(*rootfs.Store) error) error {
	return e.EachOrLost(func(_ string, store *rootfs.Store, lost *layout.Lost) (err error) {
		if lost == nil {
			err = fn(store)
		}
		return err
	})
}

// Whole returns an error when a driver has lost its records.
func (e *Env) Whole(driver string) error {
	return layout.Check(filepath.Join(e.Root(), "snapshots", driver))
}

// EachDriver is EachRootfs with the name of the driver.
func (e *Env) EachDriver(fn func(driver string, store *rootfs.Store) error) error {
	return e.EachOrLost(func(driver string, store *rootfs.Store, lost *layout.Lost) error {
		if lost != nil {
			return fmt.Errorf("open snapshots of the driver %s: %w", driver, lost)
		}
		return fn(driver, store)
	})
}

// EachOrLost is EachDriver for who tells of lost records: of a driver that has lost them there is no store.
func (e *Env) EachOrLost(fn func(driver string, store *rootfs.Store, lost *layout.Lost) error) error {
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
		var lost *layout.Lost
		if errors.As(err, &lost) || err == nil {
			err = fn(driver, store, lost)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// rootfsOn opens what joins images with the snapshots of a driver.
func (e *Env) rootfsOn(driver string) (*rootfs.Store, error) {
	d := Driver{Name: driver}
	if driver == overlayfsName {
		support, err := e.support(filepath.Join(e.Root(), "snapshots"))
		if err != nil {
			return nil, err
		}
		d.Method = support.Method
	}
	snapshots, err := e.snapshotsOn(d)
	if err != nil {
		return nil, err
	}
	return e.join(snapshots)
}
