package runtime

import (
	"path/filepath"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// fileMounts bind the files of resolve.Write, or those of the container whose network it is.
func (s *Store) fileMounts(c Container) []spec.Mount {
	id := c.ID
	if donor, ok := spec.Donor(c.Settings.Sharing.Network); ok {
		id = donor
	}
	var list []spec.Mount
	for _, name := range []string{"resolv.conf", "hostname", "hosts"} {
		list = append(list, spec.Mount{Type: "bind", Source: filepath.Join(s.Dir(id), name), Target: "/etc/" + name, IDMap: true, ReadOnly: c.Settings.ReadOnly})
	}
	return list
}
