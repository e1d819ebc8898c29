package hostconfig

import "github.com/lrun-dev/lrun/runtime/spec"

// HostDevices are the fields of HostConfig about devices and sysctls.
type HostDevices struct {
	Devices           []Device
	DeviceCgroupRules []string
	Sysctls           map[string]string
}

// Device is a device of the host.
type Device struct {
	PathOnHost        string
	PathInContainer   string
	CgroupPermissions string
}

// HostDevicesOf returns what s asks.
func HostDevicesOf(s spec.Settings) HostDevices {
	d := HostDevices{Devices: []Device{}, DeviceCgroupRules: s.Devices.Rules, Sysctls: s.Sysctls}
	for _, node := range s.Devices.Nodes {
		d.Devices = append(d.Devices, Device{node.Host, node.Path, node.Access})
	}
	return d
}
