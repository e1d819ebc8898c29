package settings

import (
	"path"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// deviceFlags open what a container is otherwise kept from: the host's devices, and settings of its kernel.
type deviceFlags struct{ devices, rules, sysctls cli.StringSlice }

func (f *deviceFlags) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "device", Usage: "give the host's device, or directory of devices, `HOST[:CONTAINER][:rwm]`: to be read, written, made", Destination: &f.devices},
		&cli.StringSliceFlag{Name: "device-cgroup-rule", Usage: "allow what `RULE` says, such as 'c 189:* rwm'", Destination: &f.rules},
		&cli.StringSliceFlag{Name: "sysctl", Usage: "set `NAME=VALUE` in the container's own namespaces, such as net.ipv4.ip_forward=1", Destination: &f.sysctls},
	}
}

// open adds to s what the flags say.
func (f *deviceFlags) open(s *spec.Settings) error {
	for _, v := range f.devices.Value() {
		d, err := parseDevice(v)
		if err != nil {
			return err
		}
		s.Devices.Nodes = append(s.Devices.Nodes, d)
	}
	for _, rule := range f.rules.Value() {
		if _, err := spec.ParseDeviceRule(rule); err != nil {
			return err
		}
		s.Devices.Rules = append(s.Devices.Rules, rule)
	}
	for _, v := range f.sysctls.Value() {
		name, value, ok := strings.Cut(v, "=")
		if !ok {
			return invalid("--sysctl %q: give NAME=VALUE", v)
		}
		if _, err := spec.SysctlPath(name); err != nil {
			return err
		}
		if s.Sysctls == nil {
			s.Sysctls = map[string]string{}
		}
		s.Sysctls[name] = value
	}
	return nil
}

// parseDevice reads HOST, HOST:CONTAINER, HOST:ACCESS and HOST:CONTAINER:ACCESS.
func parseDevice(v string) (spec.Device, error) {
	parts := strings.Split(v, ":")
	d := spec.Device{Host: parts[0], Path: parts[0], Access: "rwm"}
	switch {
	case len(parts) == 3:
		d.Path, d.Access = parts[1], parts[2]
	case len(parts) == 2 && spec.IsDeviceAccess(parts[1]):
		d.Access = parts[1]
	case len(parts) == 2:
		d.Path = parts[1]
	}
	switch {
	case len(parts) > 3 || !spec.IsDeviceAccess(d.Access):
		return d, invalid("--device %q: give HOST[:CONTAINER][:ACCESS], where ACCESS is some of r, w and m", v)
	case !path.IsAbs(d.Host) || !path.IsAbs(d.Path) || path.Clean(d.Path) == "/":
		return d, invalid("--device %q: give absolute paths", v)
	}
	d.Path = path.Clean(d.Path)
	return d, nil
}
