package settings

import (
	"os"
	"strings"
	"testing"

	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestNamespaceFlags(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	const id = "0123456789abcdef"
	for name, c := range map[string]struct {
		options           namespaceOptions
		network, hostname string
		want              spec.Sharing
		wantName          string
		err               string
	}{
		"default":          {network: "none", wantName: id[:12]},
		"all of the host":  {options: namespaceOptions{"host", "host", "host", "host"}, network: "host", want: spec.Sharing{PID: "host", IPC: "host", UTS: "host", Cgroup: "host"}, wantName: host},
		"private is empty": {options: namespaceOptions{ipc: "private", cgroup: "private"}, network: "none", want: spec.Sharing{Cgroup: "private"}, wantName: id[:12]},
		"of another":       {options: namespaceOptions{pid: "container:a", ipc: "container:b"}, network: "container:c", want: spec.Sharing{PID: "container:a", IPC: "container:b", Network: "container:c"}},
		"name of the host": {options: namespaceOptions{uts: "host"}, network: "none", want: spec.Sharing{UTS: "host"}, wantName: host},
		"name on the host": {network: "host", hostname: "x", wantName: "x"},

		"name and uts":        {options: namespaceOptions{uts: "host"}, network: "none", hostname: "x", err: "hostname and the UTS mode"},
		"name and network":    {network: "container:c", hostname: "x", err: "hostname and the network mode"},
		"unknown pid":         {options: namespaceOptions{pid: "private"}, network: "none", err: "host or container:NAME"},
		"unknown ipc":         {options: namespaceOptions{ipc: "x"}, network: "none", err: "private or shareable or none or host or container:NAME"},
		"uts of another":      {options: namespaceOptions{uts: "container:a"}, network: "none", err: "--uts"},
		"cgroups of another":  {options: namespaceOptions{cgroup: "container:a"}, network: "none", err: "--cgroupns"},
		"nobody's pid":        {options: namespaceOptions{pid: "container:"}, network: "none", err: "name the container"},
		"nobody's network":    {network: "container:", err: "name the container"},
		"unknown network":     {network: "bridge", err: "only none, host and container:NAME"},
		"a name with a blank": {network: "none", hostname: "a b", err: "host name"},
	} {
		t.Run(name, func(t *testing.T) {
			s := spec.Settings{Hostname: c.hostname}
			err := c.options.apply(&s)
			if err == nil {
				err = network(c.network, &s, id)
			}
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || s.Sharing != c.want || s.Hostname != c.wantName {
				t.Errorf("got %+v %q, %v; want %+v %q", s.Sharing, s.Hostname, err, c.want, c.wantName)
			}
		})
	}
}

func TestNamesOfAnotherAreNotChanged(t *testing.T) {
	donated := spec.Sharing{Network: "container:c"}
	for name, c := range map[string]struct {
		settings spec.Settings
		err      string
	}{
		"of its own":      {spec.Settings{Names: spec.Names{Hosts: []string{"x"}, Servers: []string{"x"}, Domain: "x"}}, ""},
		"nothing":         {spec.Settings{Sharing: donated}, ""},
		"hosts":           {spec.Settings{Sharing: donated, Names: spec.Names{Hosts: []string{"x"}}}, "host-to-IP mapping and the network mode"},
		"resolver":        {spec.Settings{Sharing: donated, Names: spec.Names{Search: []string{"x"}}}, "dns and the network mode"},
		"host's domain":   {spec.Settings{Sharing: spec.Sharing{UTS: "host"}, Names: spec.Names{Domain: "x"}}, "domain name and the UTS mode"},
		"domain, network": {spec.Settings{Sharing: donated, Names: spec.Names{Domain: "x"}}, ""},
	} {
		err := checkNames(c.settings)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got %v, want %q", name, err, c.err)
		}
	}
}
