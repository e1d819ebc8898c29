package spec

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Devices are what a container may use beside the default ones.
type Devices struct {
	Nodes []Device `json:"nodes,omitempty"`
	Rules []string `json:"rules,omitempty"` // of ParseDeviceRule
}

// Device is a device of the host, or a directory of them, by its name inside the container.
type Device struct {
	Host   string `json:"host"`
	Path   string `json:"path"`
	Access string `json:"access"` // some of r, w and m
}

// ParseDeviceRule reads the kernel's form of a rule for devices, such as "c 1:3 rwm" or "b *:* r".
func ParseDeviceRule(s string) (specs.LinuxDeviceCgroup, error) {
	rule := specs.LinuxDeviceCgroup{Allow: true}
	bad := fmt.Errorf("device rule %q: give TYPE MAJOR:MINOR ACCESS, such as 'c 1:3 rwm' or 'b *:* r': %w", s, errdefs.ErrInvalidArgument)
	parts := strings.Split(s, " ")
	if len(parts) != 3 || !slices.Contains([]string{"a", "b", "c"}, parts[0]) || !IsDeviceAccess(parts[2]) {
		return rule, bad
	}
	rule.Type, rule.Access = parts[0], parts[2]
	major, minor, ok := strings.Cut(parts[1], ":")
	if !ok {
		return rule, bad
	}
	for _, n := range []struct {
		text string
		to   **int64
	}{{major, &rule.Major}, {minor, &rule.Minor}} {
		if n.text == "*" {
			continue
		}
		number, err := strconv.ParseUint(n.text, 10, 31)
		if err != nil {
			return rule, bad
		}
		signed := int64(number)
		*n.to = &signed
	}
	return rule, nil
}

// IsDeviceAccess says whether s is some of r, w and m, each once.
func IsDeviceAccess(s string) bool {
	for _, letter := range "rwm" {
		s = strings.Replace(s, string(letter), ".", 1)
	}
	return s != "" && strings.Trim(s, ".") == ""
}

// find looks the devices up on the host.
func (d Devices) find(privileged bool) (nodes []specs.LinuxDevice, rules []specs.LinuxDeviceCgroup, err error) {
	for _, asked := range d.Nodes {
		found, err := devicesAt(asked)
		if err != nil {
			return nil, nil, err
		}
		for _, node := range found {
			nodes = append(nodes, node)
			rules = append(rules, specs.LinuxDeviceCgroup{Allow: true, Type: node.Type, Major: &node.Major, Minor: &node.Minor, Access: asked.Access})
		}
	}
	for _, text := range d.Rules {
		rule, err := ParseDeviceRule(text)
		if err != nil {
			return nil, nil, err
		}
		rules = append(rules, rule)
	}
	if privileged { // all are allowed already
		rules = nil
	}
	return nodes, rules, nil
}

// devicesAt returns the device, or those below the directory, that d names, with their names in the container.
func devicesAt(d Device) ([]specs.LinuxDevice, error) {
	host, err := filepath.EvalSymlinks(d.Host)
	if err != nil {
		return nil, missing(d.Host, err)
	}
	var found []specs.LinuxDevice
	err = filepath.WalkDir(host, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeDevice == 0 || path != host && (entry.Name() == "console" || entry.Name() == "ptmx") {
			return nil //nolint:nilerr // devices come and go
		}
		node, err := hostDevice(path)
		if err == nil {
			node.Path = filepath.Join(d.Path, strings.TrimPrefix(path, host))
			found = append(found, node)
		}
		return nil
	})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("give the container %s: it is no device, and no directory with one: %w", d.Host, errdefs.ErrInvalidArgument)
	}
	return found, err
}

// withDevices returns the default nodes and the user's, which take the place of a default one of their name.
func withDevices(list, more []specs.LinuxDevice) []specs.LinuxDevice {
	for i, d := range more {
		same := func(other specs.LinuxDevice) bool { return other.Path == d.Path }
		if !slices.ContainsFunc(more[i+1:], same) { // else the last one counts
			list = append(slices.DeleteFunc(slices.Clone(list), same), d)
		}
	}
	return list
}
