package hostconfig

import (
	"cmp"
	"strings"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// Names is what HostConfig says of names and shared memory.
type Names struct {
	DNS        []string `json:"Dns"`
	DNSOptions []string `json:"DnsOptions"`
	DNSSearch  []string `json:"DnsSearch"`
	ExtraHosts []string
	ShmSize    int64
}

// NamesOf returns what the settings say of names and shared memory.
func NamesOf(s spec.Settings) Names {
	return Names{
		DNS: s.Names.Servers, DNSOptions: s.Names.Options, DNSSearch: s.Names.Search, ExtraHosts: extraHosts(s.Names.Hosts),
		ShmSize: cmp.Or(s.ShmSize, spec.DefaultShmSize),
	}
}

// extraHosts are the lines of /etc/hosts in Docker's form, NAME:ADDRESS.
func extraHosts(lines []string) []string {
	var list []string
	for _, line := range lines {
		address, name, _ := strings.Cut(line, "\t")
		list = append(list, name+":"+address)
	}
	return list
}
