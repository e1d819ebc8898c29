// Package cgroup makes, joins, kills and removes the control groups of a container, on cgroup v1, on v2 and on hosts
// that have both. Which hierarchy holds a controller is looked up for each controller; nothing is assumed.
package cgroup

import (
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Hierarchy is every cgroup hierarchy of the host that is mounted here. It is a value read once by Detect.
type Hierarchy struct {
	mounts []Mount
}

// Mount is one mounted hierarchy, and of a Group the directory in it.
type Mount struct {
	Mountpoint  string   // where the hierarchy is mounted on the host
	Controllers []string // its controllers; of a v1 hierarchy without any its name, like "name=systemd"
	Unified     bool     // it is the v2 hierarchy
	Dir         string   // of a Group: its directory below Mountpoint, absolute
}

// Group is one container's group: a directory in each hierarchy that the container needs.
type Group struct {
	mounts []Mount
}

// Detect reads what hierarchies are mounted. It costs two small files in /proc, and one more where v2 is mounted.
func Detect() (*Hierarchy, error) {
	return nil, fmt.Errorf("detect cgroups: %w", errdefs.ErrNotImplemented)
}

// Mounts returns every hierarchy, in the order of mountinfo, with Dir empty.
func (h *Hierarchy) Mounts() []Mount { return h.mounts }

// Create makes the group path (absolute, like "/lrun/ID") and sets the limits of r.
func (h *Hierarchy) Create(path string, r *specs.LinuxResources) (*Group, error) {
	return nil, fmt.Errorf("create cgroup %s: %w", path, errdefs.ErrNotImplemented)
}

// Open returns the group path as far as it exists.
func (h *Hierarchy) Open(path string) (*Group, error) {
	return nil, fmt.Errorf("open cgroup %s: %w", path, errdefs.ErrNotImplemented)
}

// Mounts returns the group's directory in every hierarchy that has one: what a container's /sys/fs/cgroup is built of.
func (g *Group) Mounts() []Mount { return g.mounts }

// Paths returns the group's directory for each controller, with "" for the v2 hierarchy.
func (g *Group) Paths() map[string]string { return nil }

// JoinFiles opens the v1 tasks files for writing.
func (g *Group) JoinFiles() ([]*os.File, error) { return nil, nil }

// FD opens the v2 directory for CLONE_INTO_CGROUP; it is nil where v2 is not mounted.
func (g *Group) FD() (*os.File, error) { return nil, nil }

// Pids returns every process in the group and in the groups below it.
func (g *Group) Pids() ([]int, error) { return nil, nil }

// Kill kills every process in the group and below and waits until they are gone.
func (g *Group) Kill() error { return nil }

// Freeze stops every process of the group; Thaw lets them go on.
func (g *Group) Freeze() error { return nil }

// Thaw undoes Freeze.
func (g *Group) Thaw() error { return nil }

// OOMKilled says whether the kernel has killed a process of the group for lack of memory.
func (g *Group) OOMKilled() (bool, error) { return false, nil }

// Remove deletes the group, and the groups below it. Gone is no error.
func (g *Group) Remove() error { return nil }
