package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// SysctlPath returns the file below /proc/sys of a sysctl, whose first separator, a dot or a slash, is the only one, as
// for sysctl(8). A name that leads elsewhere is errdefs.ErrInvalidArgument, and so is one that belongs to no namespace
// that a container can have of its own.
func SysctlPath(name string) (string, error) {
	path := name
	if i := strings.IndexAny(name, "./"); i >= 0 && name[i] == '.' {
		path = strings.Map(func(r rune) rune {
			switch r {
			case '.':
				return '/'
			case '/':
				return '.'
			}
			return r
		}, name)
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsRune(part, 0) {
			return "", fmt.Errorf("sysctl %q: that is not a name such as net.ipv4.ip_forward: %w", name, errdefs.ErrInvalidArgument)
		}
	}
	if sysctlNamespace(path) == "" {
		return "", fmt.Errorf("sysctl %q: it belongs to no namespace of a container, so it would change the whole host; set it there: %w",
			name, errdefs.ErrInvalidArgument)
	}
	return path, nil
}

// sysctlNamespace returns the namespace that a file of /proc/sys belongs to, or "". The list is Docker's.
func sysctlNamespace(path string) specs.LinuxNamespaceType {
	switch path {
	case "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem", "kernel/shmall", "kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced":
		return specs.IPCNamespace
	}
	switch {
	case strings.HasPrefix(path, "net/"):
		return specs.NetworkNamespace
	case strings.HasPrefix(path, "fs/mqueue/"):
		return specs.IPCNamespace
	}
	return ""
}

// DomainSysctl is the sysctl of the domain name, for runtimes that do not know Domainname yet (runc before 1.2).
const DomainSysctl = "kernel.domainname"

// What everybody may do in a container's own network, as in Docker since 20.10: listen on any port, and ping, of which the kernel
// knows only groups that the user namespace has.
const (
	portSysctl = "net.ipv4.ip_unprivileged_port_start"
	pingSysctl = "net.ipv4.ping_group_range"
)

// sysctls are the user's, that of the domain name, and where there is a new network namespace what Docker sets in one.
func sysctls(s Settings, namespaces []specs.LinuxNamespace) map[string]string {
	all := map[string]string{}
	if slices.Contains(namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace}) {
		all[portSysctl] = "0"
		if !s.UserNS.Own() {
			all[pingSysctl] = "0 2147483647"
		}
	}
	for name, value := range s.Sysctls {
		if path, err := SysctlPath(name); err == nil {
			delete(all, strings.ReplaceAll(path, "/", ".")) // the user's may be written with slashes
		}
		all[name] = value
	}
	if s.Names.Domain != "" {
		all[DomainSysctl] = s.Names.Domain
	}
	return all
}

// checkSysctls refuses sysctls of namespaces that are the host's.
func checkSysctls(sysctls map[string]string, own []specs.LinuxNamespace) error {
	for _, name := range slices.Sorted(maps.Keys(sysctls)) {
		path, err := SysctlPath(name)
		if err != nil {
			return err
		}
		kind := sysctlNamespace(path)
		if !slices.ContainsFunc(own, func(ns specs.LinuxNamespace) bool { return ns.Type == kind }) {
			return fmt.Errorf("sysctl %q: the container has the host's %s namespace, so it would change the whole host; set it there: %w",
				name, kind, errdefs.ErrInvalidArgument)
		}
	}
	return nil
}
