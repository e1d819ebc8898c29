package resolve

import (
	"strings"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// Hosts is what the container's /etc/hosts says: in the host's network what the host's does.
func Hosts(s spec.Settings) string {
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
