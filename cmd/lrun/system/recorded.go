package system

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/hold"
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
	all := make([]check.Container, len(list))
	for i, c := range list {
		all[i] = check.Container{ID: c.ID, Name: c.Name, Driver: c.Driver, Snapshot: c.RootDir == "", Holder: r.holder(c)}
		for _, m := range c.Settings.Mounts {
			if m.Type == "volume" {
				all[i].Volumes = append(all[i].Volumes, m.Name)
			}
		}
	}
	return all, err
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
	return hold.Busy(r.env, id)
}
