// Package resolve writes the files by which a container finds names.
package resolve

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// Where resolv.conf is, and where systemd-resolved keeps the one with the real servers while that names itself.
const (
	resolvConf       = "/etc/resolv.conf"
	systemdStub      = "127.0.0.53"
	systemdUpstreams = "/run/systemd/resolve/resolv.conf"
)

// Conf is what the container's resolv.conf says.
func Conf(s spec.Settings) (string, error) {
	host, err := readOptional(resolvConf)
	if err != nil || s.HostNetwork {
		return resolvFile(host, s.Names, true), err
	}
	if servers := nameservers(host); len(servers) == 1 && servers[0] == systemdStub {
		upstreams, err := readOptional(systemdUpstreams)
		if err != nil {
			return "", err
		}
		if upstreams != "" {
			host = upstreams
		}
	}
	return resolvFile(host, s.Names, false), nil
}

// resolvFile changes the host's resolv.conf to what the user asked for. In a network namespace of its own a server on
// a loopback address is not the host's, so such are left out, and when none remains, those of Docker are put there.
// What the user asked for stays as it is.
func resolvFile(host string, n spec.Names, hostNetwork bool) string {
	var kept []string
	for line := range strings.Lines(host) {
		if line = strings.TrimRight(line, "\r\n"); !replaced(line, n, hostNetwork) {
			kept = append(kept, line)
		}
	}
	asked := n.Servers
	if !hostNetwork && len(asked) == 0 && len(nameservers(strings.Join(kept, "\n"))) == 0 {
		asked = []string{"8.8.8.8", "8.8.4.4"}
	}
	for _, s := range asked {
		kept = append(kept, "nameserver "+s)
	}
	if len(n.Search) > 0 && !slices.Equal(n.Search, []string{"."}) {
		kept = append(kept, "search "+strings.Join(n.Search, " "))
	}
	if len(n.Options) > 0 {
		kept = append(kept, "options "+strings.Join(n.Options, " "))
	}
	if len(kept) == 0 {
		return ""
	}
	return strings.Join(kept, "\n") + "\n"
}

// replaced tells whether a line of the host's resolv.conf is none of the container's.
func replaced(line string, n spec.Names, hostNetwork bool) bool {
	switch word, value := directive(line); word {
	case "nameserver":
		return len(n.Servers) > 0 || !hostNetwork && isLoopback(value)
	case "search", "domain":
		return len(n.Search) > 0
	case "options":
		return len(n.Options) > 0
	}
	return false
}

// directive divides a line of resolv.conf at its first word; a comment has none.
func directive(line string) (word, value string) {
	fields := strings.Fields(line)
	if len(fields) < 2 || strings.ContainsAny(fields[0][:1], "#;") {
		return "", ""
	}
	return fields[0], fields[1]
}

func nameservers(resolv string) []string {
	var list []string
	for line := range strings.Lines(resolv) {
		if word, value := directive(line); word == "nameserver" {
			list = append(list, value)
		}
	}
	return list
}

func isLoopback(server string) bool {
	address, err := netip.ParseAddr(server)
	return err == nil && address.Unmap().IsLoopback()
}

func readOptional(path string) (string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(b), err
}
