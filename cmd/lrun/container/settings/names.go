package settings

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// nameOptions are the flags about names and addresses.
type nameOptions struct {
	hosts, servers, search, options cli.StringSlice

	domain string
}

func (o *nameOptions) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "add-host", Usage: "add `NAME:ADDRESS` to /etc/hosts; with --network host the ADDRESS may be host-gateway", Destination: &o.hosts},
		&cli.StringSliceFlag{Name: "dns", Usage: "ask the resolver at `ADDRESS`", DefaultText: "the host's, but those on a loopback address", Destination: &o.servers},
		&cli.StringSliceFlag{Name: "dns-search", Usage: "look names up in `DOMAIN` too; '.' is in none", DefaultText: "the host's", Destination: &o.search},
		&cli.StringSliceFlag{Name: "dns-option", Aliases: []string{"dns-opt"}, Usage: "set `OPTION` of the resolver, see resolv.conf(5)", DefaultText: "the host's", Destination: &o.options},
		&cli.StringFlag{Name: "domainname", Usage: "the container's host is in `DOMAIN`", Destination: &o.domain},
	}
}

// names checks the flags about names.
func (o *nameOptions) names(hostNetwork bool) (spec.Names, error) {
	n := spec.Names{Search: o.search.Value(), Options: o.options.Value(), Domain: o.domain}
	for _, entry := range o.hosts.Value() {
		line, err := parseHost(entry, hostNetwork)
		if err != nil {
			return n, err
		}
		n.Hosts = append(n.Hosts, line)
	}
	for _, server := range o.servers.Value() {
		address, err := netip.ParseAddr(strings.TrimSpace(server))
		if err != nil {
			return n, invalid("--dns %q: give an IP address", server)
		}
		n.Servers = append(n.Servers, address.String())
	}
	for _, word := range n.Search {
		if word == "." && len(n.Search) > 1 {
			return n, invalid("--dns-search: '.' is no domain at all, and cannot stand beside others")
		}
		if !isWord(word) {
			return n, invalid("--dns-search %q: give one domain", word)
		}
	}
	if i := slices.IndexFunc(n.Options, func(w string) bool { return !isWord(w) }); i >= 0 {
		return n, invalid("--dns-option %q: give one option, such as ndots:2", n.Options[i])
	}
	if len(n.Domain) > 64 || n.Domain != "" && !isWord(n.Domain) {
		return n, invalid("--domainname %q: at most 64 letters, digits, '.' and '-'", n.Domain)
	}
	return n, nil
}

// parseHost makes a line of /etc/hosts of NAME:ADDRESS or NAME=ADDRESS; an IPv6 address may be in brackets.
func parseHost(entry string, hostNetwork bool) (string, error) {
	at := strings.IndexAny(entry, ":=")
	if i := strings.IndexByte(entry, '='); i >= 0 {
		at = i
	}
	if at < 1 || !isWord(entry[:at]) {
		return "", invalid("--add-host %q: give NAME:ADDRESS", entry)
	}
	name, address := entry[:at], entry[at+1:]
	if address == "host-gateway" {
		if !hostNetwork {
			return "", fmt.Errorf("--add-host %q: with --network none there is no way to the host; use --network host: %w", entry, errdefs.ErrNotImplemented)
		}
		return "127.0.0.1\t" + name, nil
	}
	if inner, ok := strings.CutPrefix(address, "["); ok && strings.HasSuffix(inner, "]") {
		address = strings.TrimSuffix(inner, "]")
	}
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return "", invalid("--add-host %q: %q is no IP address", entry, address)
	}
	return ip.String() + "\t" + name, nil
}

// isWord tells whether s can stand in a file of words: not empty, and with nothing in it that ends a word or a line,
// or begins a comment.
func isWord(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' || r == ';' })
}

// shmSize reads --shm-size, in bytes; 0 is Docker's default.
func shmSize(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	bytes, err := units.RAMInBytes(s)
	if err != nil || bytes < 0 {
		return 0, invalid("--shm-size %q: give a number with a unit b, k, m or g", s)
	}
	return bytes, nil
}
