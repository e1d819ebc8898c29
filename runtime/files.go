package runtime

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// writeFiles makes hosts, hostname and resolv.conf, which are bound over the image's: they belong to
// the container and never to a layer.
func (s *Store) writeFiles(c Container) error {
	resolv, err := os.ReadFile("/etc/resolv.conf")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for name, content := range map[string]string{
		"hosts": hosts(c), "hostname": c.Settings.Hostname + "\n", "resolv.conf": string(resolv),
	} {
		if err := os.WriteFile(filepath.Join(s.Dir(c.ID), name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// fileMounts bind the files of writeFiles.
func (s *Store) fileMounts(c Container) []spec.Mount {
	var list []spec.Mount
	for _, name := range []string{"resolv.conf", "hostname", "hosts"} {
		list = append(list, spec.Mount{Type: "bind", Source: filepath.Join(s.Dir(c.ID), name), Target: "/etc/" + name})
	}
	return list
}

func hosts(c Container) string {
	if c.Settings.HostNetwork {
		if b, err := os.ReadFile("/etc/hosts"); err == nil {
			return string(b)
		}
	}
	var b strings.Builder
	b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n")
	b.WriteString("ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n")
	if !c.Settings.HostNetwork {
		b.WriteString("127.0.0.1\t" + c.Settings.Hostname + "\n")
	}
	return b.String()
}
