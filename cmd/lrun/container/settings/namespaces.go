package settings

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// namespaceOptions are the flags about what a container shares with the host or with another container.
type namespaceOptions struct{ pid, ipc, uts, cgroup string }

func (o *namespaceOptions) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "pid", Usage: "see the processes of the `MODE` host or container:NAME", DefaultText: "its own only", Destination: &o.pid},
		&cli.StringFlag{Name: "ipc", Usage: "shared memory, queues and semaphores: `MODE` private, shareable (with those who join), none (no /dev/shm), host or container:NAME", DefaultText: "private", Destination: &o.ipc},
		&cli.StringFlag{Name: "uts", Usage: "have the host name of the `MODE` host", DefaultText: "its own", Destination: &o.uts},
		&cli.StringFlag{Name: "cgroupns", Usage: "see the cgroups of the `MODE` host or private", DefaultText: "private on cgroup v2, host on v1", Destination: &o.cgroup},
	}
}

// apply checks the modes and puts them into s. Names of containers are resolved later.
func (o *namespaceOptions) apply(s *spec.Settings) error {
	for _, f := range []struct {
		flag, value string
		known       []string
		donors      bool
	}{
		{"--pid", o.pid, []string{spec.ModeHost}, true},
		{"--ipc", o.ipc, []string{spec.ModePrivate, spec.ModeShareable, spec.ModeNone, spec.ModeHost}, true},
		{"--uts", o.uts, []string{spec.ModeHost}, false},
		{"--cgroupns", o.cgroup, []string{spec.ModePrivate, spec.ModeHost}, false},
	} {
		if err := checkMode(f.flag, f.value, f.known, f.donors); err != nil {
			return err
		}
	}
	if o.uts == spec.ModeHost && s.Hostname != "" {
		return fmt.Errorf("--hostname %s: conflicting options: hostname and the UTS mode; leave --hostname or --uts host out: %w", s.Hostname, errdefs.ErrInvalidArgument)
	}
	s.Sharing.PID, s.Sharing.IPC, s.Sharing.UTS, s.Sharing.Cgroup = o.pid, o.ipc, o.uts, o.cgroup
	if o.ipc == spec.ModePrivate { // the default has one form
		s.Sharing.IPC = ""
	}
	return nil
}

func checkMode(flag, value string, known []string, donors bool) error {
	if value == "" {
		return nil
	}
	if name, ok := spec.Donor(value); ok && donors {
		if name == "" {
			return fmt.Errorf("%s %q: name the container after container: %w", flag, value, errdefs.ErrInvalidArgument)
		}
		return nil
	}
	if slices.Contains(known, value) {
		return nil
	}
	if donors {
		known = append(known, spec.DonorMode("NAME"))
	}
	return fmt.Errorf("%s %q: there is no such mode; give %s: %w", flag, value, strings.Join(known, " or "), errdefs.ErrInvalidArgument)
}

// network puts the mode of --network into s, with the host name that goes with it.
func network(mode string, s *spec.Settings, id string) error {
	_, donated := spec.Donor(mode)
	switch {
	case donated:
		if s.Hostname != "" {
			return fmt.Errorf("--hostname %s: conflicting options: hostname and the network mode; the container has the host name of the one whose network it shares: %w",
				s.Hostname, errdefs.ErrInvalidArgument)
		}
		s.Sharing.Network = mode
		return checkMode("--network", mode, nil, true)
	case mode == spec.ModeHost:
		s.HostNetwork = true
	case mode != spec.ModeNone:
		return fmt.Errorf("network %q: only none, host and container:NAME are there yet: %w", mode, errdefs.ErrNotImplemented)
	}
	return hostname(s, id)
}

// checkNames refuses names that would be another's: the host's, or those of the container whose network is shared.
func checkNames(s spec.Settings) error {
	n := s.Names
	switch {
	case s.Sharing.UTS == spec.ModeHost && n.Domain != "":
		return invalid("--domainname %s: conflicting options: domain name and the UTS mode", n.Domain)
	case s.Sharing.Network == "":
	case len(n.Hosts) > 0:
		return invalid("--add-host: conflicting options: custom host-to-IP mapping and the network mode; /etc/hosts is that of the container whose network it is")
	case len(n.Servers)+len(n.Search)+len(n.Options) > 0:
		return invalid("--dns: conflicting options: dns and the network mode; /etc/resolv.conf is that of the container whose network it is")
	}
	return nil
}

// hostname is what was asked for, else the host's where that is seen, else the beginning of the container's id.
func hostname(s *spec.Settings, id string) error {
	if s.HostNetwork || s.Sharing.UTS == spec.ModeHost {
		name, err := os.Hostname()
		if err != nil {
			return err
		}
		s.Hostname = cmp.Or(s.Hostname, name)
	}
	s.Hostname = cmp.Or(s.Hostname, id[:12])
	if len(s.Hostname) > 63 || strings.ContainsAny(s.Hostname, " \n\t/") {
		return fmt.Errorf("host name %q: at most 63 letters, digits and '-': %w", s.Hostname, errdefs.ErrInvalidArgument)
	}
	return nil
}
