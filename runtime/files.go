package runtime

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// writeFiles makes hosts, hostname and resolv.conf, which are bound over the image's: they belong to
// the container and never to a layer.
func (s *Store) writeFiles(c Container) error {
	resolv, err := resolver(c.Settings)
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		"hosts": hosts(c.Settings), "hostname": c.Settings.Hostname + "\n", "resolv.conf": resolv,
	} {
		if err := os.WriteFile(filepath.Join(s.Dir(c.ID), name), []byte(content), 0o644); err != nil {
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
		list = append(list, spec.Mount{Type: "bind", Source: filepath.Join(s.Dir(id), name), Target: "/etc/" + name})
	}
	return list
}

// hosts is what the container's /etc/hosts says: in the host's network what the host's does.
func hosts(s spec.Settings) string {
	var b strings.Builder
	host, err := "", error(nil)
	if s.HostNetwork {
		host, err = readOptional("/etc/hosts")
	}
	if host == "" || err != nil {
		b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n")
		b.WriteString("ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n")
	} else {
		b.WriteString(strings.TrimRight(host, "\n") + "\n")
	}
	if !s.HostNetwork {
		b.WriteString("127.0.0.1\t" + ownNames(s) + "\n")
	}
	for _, line := range s.Names.Hosts {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// ownNames are the container's own: with its domain, and the short one.
func ownNames(s spec.Settings) string {
	full := s.Hostname
	if s.Names.Domain != "" {
		full += "." + s.Names.Domain
	}
	if short, _, dotted := strings.Cut(full, "."); dotted {
		return full + " " + short
	}
	return full
}
