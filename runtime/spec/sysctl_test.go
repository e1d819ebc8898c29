package spec_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestSysctlPath(t *testing.T) {
	for name, want := range map[string]string{
		"net.ipv4.ip_forward": "net/ipv4/ip_forward", "net/ipv4/conf/eth0.1/forwarding": "net/ipv4/conf/eth0.1/forwarding",
		"net.ipv4.conf.eth0/1.forwarding": "net/ipv4/conf/eth0.1/forwarding", "kernel.shmmni": "kernel/shmmni", "fs.mqueue.msg_max": "fs/mqueue/msg_max",
		"kernel.panic": "", "kernel.shmmni.x": "", "net": "", "net.": "", ".net.x": "", "net..x": "", "net/../kernel/panic": "", "net.//.kernel": "",
		"fs.file-max": "", "": "", "kernel.domainname": "", "net.x\x00": "",
	} {
		got, err := spec.SysctlPath(name)
		if got != want || (want == "") != errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("SysctlPath(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
}

func FuzzSysctlPath(f *testing.F) {
	for _, s := range []string{"net.ipv4.ip_forward", "net/ipv4/conf/eth0.1/forwarding", "net.//.x", "net/../x", "fs.mqueue.."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		path, err := spec.SysctlPath(s)
		if err == nil && (strings.Contains("/"+path+"/", "/../") || strings.HasPrefix(path, "/") || strings.HasPrefix(path, "kernel/p")) {
			t.Errorf("%q leads to %q", s, path)
		}
	})
}

// What belongs to a namespace that is the host's would change the host.
func TestSysctlsOfTheHostAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		host bool
		ok   bool
	}{"net.core.somaxconn": {false, true}, "net.ipv4.ip_forward": {true, false}, "kernel.sem": {true, true}} {
		got, err := spec.New(spec.Settings{Args: []string{"true"}, HostNetwork: c.host, Sysctls: map[string]string{name: "1"}}, spec.Facts{})
		if c.ok && (err != nil || got.Linux.Sysctl[name] != "1") || !c.ok && !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What Docker sets in a new network namespace, unless the user says otherwise in whatever form.
func TestSysctlsOfANewNetwork(t *testing.T) {
	const port, ping = "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range"
	own := spec.SameIDs(spec.IDRange{Host: 1 << 20, Size: 1 << 16})
	for name, c := range map[string]struct {
		settings spec.Settings
		want     map[string]string
	}{
		"new":     {spec.Settings{}, map[string]string{port: "0", ping: "0 2147483647"}},
		"host's":  {spec.Settings{HostNetwork: true}, map[string]string{}},
		"users":   {spec.Settings{UserNS: own}, map[string]string{port: "0"}},
		"dots":    {spec.Settings{Sysctls: map[string]string{port: "80"}}, map[string]string{port: "80", ping: "0 2147483647"}},
		"slashes": {spec.Settings{Sysctls: map[string]string{"net/ipv4/ping_group_range": "1 0"}}, map[string]string{port: "0", "net/ipv4/ping_group_range": "1 0"}},
	} {
		c.settings.Args = []string{"true"}
		got, err := spec.New(c.settings, spec.Facts{})
		if err != nil || !maps.Equal(got.Linux.Sysctl, c.want) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

func TestSysctlsBesideTheDomain(t *testing.T) {
	got, err := spec.New(spec.Settings{
		Args: []string{"true"}, Names: spec.Names{Domain: "example"}, Sysctls: map[string]string{"kernel.sem": "1"},
	}, spec.Facts{})
	if err != nil || len(got.Linux.Sysctl) != 4 || got.Linux.Sysctl["kernel.sem"] != "1" || got.Linux.Sysctl[spec.DomainSysctl] != "example" {
		t.Errorf("got %v, %v", got, err)
	}
}
