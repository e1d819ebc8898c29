package runtime

import (
	"os"
	"path/filepath"

	"github.com/lrun-dev/lrun/runtime/resolve"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// writeFiles makes hosts, hostname and resolv.conf, which are bound over the image's: they belong to
// the container and never to a layer.
func (s *Store) writeFiles(c Container) error {
	resolv, err := resolve.Conf(c.Settings)
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		"hosts": resolve.Hosts(c.Settings), "hostname": c.Settings.Hostname + "\n", "resolv.conf": resolv,
	} {
		path := filepath.Join(s.Dir(c.ID), name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
		if err := os.Chmod(path, 0o644); err != nil { // whatever the umask: the container's users read it
			return err
		}
	}
	return nil
}

// fileMounts bind the files of writeFiles, or those of the container whose network it is.
func (s *Store) fileMounts(c Container) []spec.Mount {
	id := c.ID
	if donor, ok := spec.Donor(c.Settings.Sharing.Network); ok {
		id = donor
	}
	var list []spec.Mount
	for _, name := range []string{"resolv.conf", "hostname", "hosts"} {
		list = append(list, spec.Mount{Type: "bind", Source: filepath.Join(s.Dir(id), name), Target: "/etc/" + name, IDMap: true})
	}
	return list
}
