package hostconfig

import (
	"cmp"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// Sharing is what HostConfig says of namespaces.
type Sharing struct {
	PidMode      string
	IpcMode      string
	UTSMode      string
	CgroupnsMode string
}

// SharingOf returns what the settings say of namespaces, with the defaults of this machine.
func SharingOf(s spec.Settings) Sharing {
	return Sharing{
		PidMode: s.Sharing.PID, IpcMode: cmp.Or(s.Sharing.IPC, spec.ModePrivate), UTSMode: s.Sharing.UTS,
		CgroupnsMode: spec.CgroupMode(s, cgroupV2()),
	}
}

// cgroupV2 tells whether this machine has no cgroup v1, by how the usual place is mounted.
func cgroupV2() bool {
	var st unix.Statfs_t
	return unix.Statfs("/sys/fs/cgroup", &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
}
