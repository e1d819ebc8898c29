package system

import (
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/rootfs/check"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/runtime/name"
)

// recorded are the containers as the check wants them.
type recorded struct{ env *env.Env }

var _ check.Containers = recorded{}

// List implements check.Containers.
func (r recorded) List() ([]check.Container, error) {
	list, err := r.env.Runtime().List()
	if errdefs.IsDataLoss(err) {
		return r.damaged()
	}
	return r.containers(list), err
}

// damaged is List where records cannot be read: of each it says so.
func (r recorded) damaged() ([]check.Container, error) {
	store := r.env.Runtime()
	ids, err := store.IDs()
	if err != nil {
		return nil, err
	}
	var whole []runtime.Container
	var all []check.Container
	var errs []error
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		c, err := store.Get(id)
		switch {
		case err == nil:
			whole = append(whole, c)
		case errdefs.IsDataLoss(err):
			all = append(all, check.Container{ID: id, Problem: err.Error()})
		case !errdefs.IsNotFound(err):
			errs = append(errs, err)
		}
	}
	return append(all, r.containers(whole)...), errors.Join(errs...)
}

// containers are those of list as the check wants them.
func (r recorded) containers(list []runtime.Container) []check.Container {
	all := make([]check.Container, len(list))
	for i, c := range list {
		all[i] = check.Container{ID: c.ID, Name: c.Name, Driver: c.Driver, Snapshot: c.RootDir == "", Holder: r.holder(c)}
		if _, err := r.env.Runtime().State(c.ID); err != nil && !errdefs.IsNotFound(err) { // else it is gone since
			all[i].Problem = err.Error()
		}
		for _, m := range c.Settings.Mounts {
			if m.Type == "volume" {
				all[i].Volumes = append(all[i].Volumes, m.Name)
			}
		}
	}
	return all
}

// holder is the id of who has the name of c, "" for nobody. Names are not durable: before the first sweep of a boot has
// made them anew it is c itself.
func (r recorded) holder(c runtime.Container) string {
	if _, err := os.Lstat(filepath.Join(r.env.State(), "swept")); errors.Is(err, os.ErrNotExist) || name.Check(c.Name) != nil {
		return c.ID
	}
	b, err := os.ReadFile(filepath.Join(r.env.Root(), "names", c.Name))
	if err != nil {
		return ""
	}
	return string(b)
}

// Gone implements check.Containers.
func (r recorded) Gone(id string) bool {
	_, err := r.env.Runtime().Get(id)
	return errdefs.IsNotFound(err)
}

// Busy implements check.Containers.
func (r recorded) Busy(id string) bool {
	return r.env.Runtime().Watched(id)
}
