package spec

import (
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Modes of namespaces, beside Docker's "container:ID" (Donor). Which of them a namespace knows is said at Sharing.
const (
	ModeHost      = "host"
	ModePrivate   = "private"
	ModeShareable = "shareable"
	ModeNone      = "none"
)

// donorPrefix begins a mode that names another container.
const donorPrefix = "container:"

// Sharing says which namespaces a container does not have of its own. The zero value is Docker's default.
type Sharing struct {
	PID     string `json:"pid,omitempty"`     // empty: its own; host or container:ID
	IPC     string `json:"ipc,omitempty"`     // empty: private; host, private, shareable, none or container:ID
	UTS     string `json:"uts,omitempty"`     // empty: its own; host
	Cgroup  string `json:"cgroup,omitempty"`  // empty: private where there is cgroup v2 only, else host; host or private
	Network string `json:"network,omitempty"` // empty: as Settings.HostNetwork says; container:ID
}

// Donor returns what a mode of the form container:NAME names; ok is false for another form.
func Donor(mode string) (name string, ok bool) {
	return strings.CutPrefix(mode, donorPrefix)
}

// DonorMode is the mode that joins a namespace of the container id.
func DonorMode(id string) string { return donorPrefix + id }

// Joined are files of namespaces of other containers, by type. An external runtime opens them by these paths, too.
type Joined map[specs.LinuxNamespaceType]string

// Namespaces are those that the container gets of its own, or joins. cgroupV2 says that there is no v1 hierarchy.
func Namespaces(s Settings, cgroupV2 bool, joined Joined) []specs.LinuxNamespace {
	list := []specs.LinuxNamespace{{Type: specs.MountNamespace}}
	if s.UserNS.Own() {
		list = append(list, specs.LinuxNamespace{Type: specs.UserNamespace})
	}
	add := func(kind specs.LinuxNamespaceType, mode string) {
		if mode != ModeHost {
			list = append(list, specs.LinuxNamespace{Type: kind, Path: joined[kind]})
		}
	}
	add(specs.UTSNamespace, s.Sharing.UTS)
	add(specs.PIDNamespace, s.Sharing.PID)
	add(specs.IPCNamespace, s.Sharing.IPC)
	if !s.HostNetwork {
		add(specs.NetworkNamespace, s.Sharing.Network)
	}
	add(specs.CgroupNamespace, CgroupMode(s, cgroupV2))
	return list
}

// CgroupMode is the mode of the container's cgroup namespace: what was asked for, else Docker's default.
func CgroupMode(s Settings, cgroupV2 bool) string {
	switch {
	case s.Sharing.Cgroup != "":
		return s.Sharing.Cgroup
	case cgroupV2:
		return ModePrivate
	}
	return ModeHost
}

// shared changes the default mount of shared memory to what --ipc says: one that the host holds (Facts.SharedMemory), or
// none.
func shared(list []specs.Mount, s Settings, f Facts) []specs.Mount {
	at := slices.IndexFunc(list, func(m specs.Mount) bool { return m.Destination == SharedMemoryPath })
	switch {
	case at < 0:
	case s.Sharing.IPC == ModeNone:
		return slices.Delete(list, at, at+1)
	case f.SharedMemory != "":
		list[at] = specs.Mount{Destination: SharedMemoryPath, Type: "bind", Source: f.SharedMemory, Options: []string{"bind", "rprivate", "rw"}}
	}
	return list
}

// SharedMemoryPath is where a container has its POSIX shared memory.
const SharedMemoryPath = "/dev/shm"

// SharedMemory is the mount of shared memory that a container has of its own.
func SharedMemory(s Settings) specs.Mount {
	list := defaultMounts(s)
	return list[slices.IndexFunc(list, func(m specs.Mount) bool { return m.Destination == SharedMemoryPath })]
}
