// Package cgroup makes, joins, kills and removes the control groups of a container, on cgroup v1, on v2 and on hosts
// that have both. Which hierarchy holds a controller is looked up for each controller; nothing is assumed.
package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime/cgroup/device"
)

// Hierarchy is every cgroup hierarchy of the host that is mounted here. It is a value read once by Detect.
type Hierarchy struct {
	mounts []Mount
	all    bool // groups are made in every one
}

// Everywhere is h for a container that makes groups of its own, if it does: its group is made in every hierarchy that has
// controllers.
func (h *Hierarchy) Everywhere(own bool) *Hierarchy { return &Hierarchy{mounts: h.mounts, all: own} }

// Mount is one mounted hierarchy, and of a Group the directory in it.
type Mount struct {
	Mountpoint  string   // where the hierarchy is mounted on the host
	Controllers []string // its controllers; of a v1 hierarchy without any its name, like "name=systemd"
	Unified     bool     // it is the v2 hierarchy
	Dir         string   // of a Group: its directory below Mountpoint, like "/lrun/ID"

	atRoot bool   // lrun itself is in the topmost group that is visible here, or beside what must leave that (delegate.AtTop)
	root   string // directory of the hierarchy that is mounted
}

func (m Mount) path() string { return m.Mountpoint + m.Dir }

func (m Mount) has(controller string) bool { return slices.Contains(m.Controllers, controller) }

func (m Mount) hasAny(controllers ...string) bool { return slices.ContainsFunc(controllers, m.has) }

// Group is one container's group: a directory in each hierarchy that the container needs. It holds nothing open.
type Group struct {
	mounts  []Mount
	freezes bool // of one that was opened: its host can freeze groups
}

// Mounts returns every hierarchy, in the order of mountinfo, with Dir empty.
func (h *Hierarchy) Mounts() []Mount { return slices.Clone(h.mounts) }

// OnlyUnified reports whether there is no v1 hierarchy.
func (h *Hierarchy) OnlyUnified() bool {
	return !slices.ContainsFunc(h.mounts, func(m Mount) bool { return !m.Unified })
}

// unified returns the v2 hierarchy, or nil.
func (h *Hierarchy) unified() *Mount {
	if i := slices.IndexFunc(h.mounts, func(m Mount) bool { return m.Unified }); i >= 0 {
		return &h.mounts[i]
	}
	return nil
}

// Create makes the group path, absolute and clean like "/lrun/ID", without processes, and sets the limits of r, which
// may be nil. It is made where the container must be apart from lrun itself: in the hierarchies of the memory and devices
// controllers, in v2 (without it, in pids, cpuacct and freezer), where r has a limit, and wherever
// lrun is not in the topmost group, or Everywhere; with a limit in all v1 hierarchies that tell programs of limits. The parents of path are made and stay.
//
// A group that is left from before is removed first; when it has processes that is errdefs.ErrFailedPrecondition. A
// limit that this kernel cannot hold is errdefs.ErrNotImplemented, one that it refuses errdefs.ErrInvalidArgument; both
// name file and value. After an error nothing of the group remains.
func (h *Hierarchy) Create(path string, r *specs.LinuxResources) (*Group, error) {
	return h.CreateAround(path, r, func(*Group) {})
}

// CreateAround is Create that calls start as soon as a process can be made in the group (FD), before the rest of it is
// there and its limits hold: making a process takes as long. Such a process must do nothing on its own until
// CreateAround has returned. After an error it is killed.
func (h *Hierarchy) CreateAround(path string, r *specs.LinuxResources, start func(*Group)) (*Group, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	if r == nil {
		r = &specs.LinuxResources{}
	}
	p, err := h.plan(r)
	if err == nil {
		err = h.checkCpusets(p)
	}
	if err != nil {
		return nil, fmt.Errorf("create cgroup %s: %w", path, err)
	}
	g := &Group{}
	undo := func(err error) error { return errors.Join(err, g.Kill(), g.Remove()) }
	order := h.unifiedFirst()
	if len(order) == 0 {
		start(g)
	}
	for n, i := range order {
		if m := h.mounts[i]; p.wanted[i] {
			m.Dir = path
			if err := makeGroup(m, p.needed); err != nil {
				return nil, undo(err)
			}
			g.mounts = append(g.mounts, m)
		}
		if n == 0 {
			start(&Group{mounts: slices.Clone(g.mounts)})
		}
		for _, s := range p.settings[i] {
			if err := s.apply(h.mounts[i].Mountpoint + path); err != nil {
				return nil, undo(err)
			}
		}
	}
	if err := g.restrictDevices(r.Devices); err != nil {
		return nil, undo(err)
	}
	slices.SortFunc(g.mounts, func(a, b Mount) int { return h.index(a) - h.index(b) })
	return g, nil
}

// unifiedFirst are the indices of the hierarchies, v2 before the others.
func (h *Hierarchy) unifiedFirst() []int {
	var order []int
	for i, m := range h.mounts {
		if m.Unified {
			order = slices.Insert(order, 0, i)
		} else {
			order = append(order, i)
		}
	}
	return order
}

// index is where in the order of mountinfo m is.
func (h *Hierarchy) index(m Mount) int {
	return slices.IndexFunc(h.mounts, func(other Mount) bool { return other.Mountpoint == m.Mountpoint })
}

// Open returns the group path as far as it exists; a group that does not exist at all has no directory, no process and
// nothing to remove. It costs one lstat for each hierarchy.
func (h *Hierarchy) Open(path string) (*Group, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	g := &Group{freezes: slices.ContainsFunc(h.mounts, func(m Mount) bool { return m.Unified || m.has("freezer") })}
	for _, m := range h.mounts {
		m.Dir = path
		var st unix.Stat_t
		switch err := unix.Lstat(m.path(), &st); {
		case err == nil:
			g.mounts = append(g.mounts, m)
		case !errors.Is(err, unix.ENOENT):
			return nil, fmt.Errorf("open cgroup %s: %w", m.path(), err)
		}
	}
	return g, nil
}

// restrictDevices sets the rules of a new group.
func (g *Group) restrictDevices(list []specs.LinuxDeviceCgroup) error {
	rules, err := device.Parse(list)
	if err != nil || len(rules) == 0 {
		return err
	}
	if dir, unified := g.with("devices"); dir != "" && !unified {
		return rules.WriteV1(dir)
	}
	dir := g.unified()
	switch {
	case rules.AllowAll():
		return nil
	case dir == "":
		return fmt.Errorf("restrict devices: neither cgroup v2 nor the v1 controller is there: %w", errdefs.ErrNotImplemented)
	}
	return rules.AttachV2(dir)
}

func checkPath(path string) error {
	if path == "/" || !strings.HasPrefix(path, "/") || filepath.Clean(path) != path {
		return fmt.Errorf("cgroup path %q is not absolute and clean: %w", path, errdefs.ErrInvalidArgument)
	}
	return nil
}

// Mounts returns the group's directory in every hierarchy that has one: what a container's /sys/fs/cgroup is built of.
func (g *Group) Mounts() []Mount { return slices.Clone(g.mounts) }

// Paths returns the group's directory for each controller, with "" for the v2 hierarchy.
func (g *Group) Paths() map[string]string {
	paths := map[string]string{}
	for _, m := range g.mounts {
		for _, c := range m.Controllers {
			paths[c] = m.path()
		}
		if m.Unified {
			paths[""] = m.path()
		}
	}
	return paths
}

// with returns the group's directory for a controller and whether it is v2's, or "" where the group has none.
func (g *Group) with(controller string) (dir string, unified bool) {
	for _, m := range g.mounts {
		if m.has(controller) {
			return m.path(), m.Unified
		}
	}
	return "", false
}

// unified returns the group's directory in the v2 hierarchy, or "".
func (g *Group) unified() string {
	if i := slices.IndexFunc(g.mounts, func(m Mount) bool { return m.Unified }); i >= 0 {
		return g.mounts[i].path()
	}
	return ""
}

// JoinFiles opens the tasks file of every v1 hierarchy that the group is in: a thread that writes "0" to each moves
// there alone, which costs no grace period, and keeps the place when it execs. The caller closes them.
func (g *Group) JoinFiles() ([]*os.File, error) {
	var files []*os.File
	for _, m := range g.mounts {
		if m.Unified {
			continue
		}
		f, err := os.OpenFile(m.path()+"/tasks", os.O_WRONLY, 0)
		if err != nil {
			for _, f := range files {
				err = errors.Join(err, f.Close())
			}
			return nil, fmt.Errorf("join cgroup: %w", err)
		}
		files = append(files, f)
	}
	return files, nil
}

// FD opens the group's v2 directory for CLONE_INTO_CGROUP; it is nil, with no error, where v2 is not mounted. The
// caller closes it.
func (g *Group) FD() (*os.File, error) {
	dir := g.unified()
	if dir == "" {
		return nil, nil
	}
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("open cgroup: %w", err)
	}
	return f, nil
}
