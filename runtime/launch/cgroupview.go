package launch

import (
	"fmt"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/runtime/cgroup"
	"github.com/lrun-dev/lrun/runtime/filesystem"
	"github.com/lrun-dev/lrun/runtime/stage"
)

// cgroupView plans the container's /sys/fs/cgroup. On v2 that is the hierarchy itself, seen from the
// container's cgroup namespace; with v1 it is a tmpfs with the container's own group of each hierarchy.
func (p *planner) cgroupView(m specs.Mount) error {
	group, err := p.cgroup()
	if err != nil || group == nil {
		return err
	}
	attr, _ := filesystem.Split(m.Options)
	var v1 []cgroup.Mount
	for _, h := range group.Mounts() {
		if !h.Unified {
			v1 = append(v1, h)
		}
	}
	if len(v1) == 0 {
		p.do(stage.Step{Op: stage.OpFilesystem, Path: m.Destination, Flags: stage.NoSymlinks, Attr: attr, Data: []string{"cgroup2", "source=cgroup"}})
		return nil
	}
	return p.cgroupViewV1(m.Destination, attr, v1)
}

func (p *planner) cgroupViewV1(destination string, attr uint64, hierarchies []cgroup.Mount) error {
	dir, err := filesystem.OpenFor(p.request.UserNS, "tmpfs", []string{"mode=755", "source=tmpfs"}, attr&^unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return err
	}
	p.add(stage.Step{Op: stage.OpAttach, FD: p.own(dir), Path: destination, Flags: stage.NoSymlinks})
	for _, h := range hierarchies {
		name := filepath.Base(h.Mountpoint)
		if err := unix.Mkdirat(int(dir.Fd()), name, 0o755); err != nil {
			return fmt.Errorf("make directory %s in the container's cgroup view: %w", name, err)
		}
		b := mount.Mount{Type: "bind", Source: h.Mountpoint + h.Dir, ReadOnly: attr&unix.MOUNT_ATTR_RDONLY != 0}
		tree, err := b.Open()
		if err != nil {
			return err
		}
		index := p.own(tree)
		rest := unix.MountAttr{Attr_set: attr}
		if err := unix.MountSetattr(int(tree.Fd()), "", unix.AT_EMPTY_PATH, &rest); err != nil {
			return fmt.Errorf("restrict the view of cgroup hierarchy %s: %w", h.Mountpoint, err)
		}
		p.add(stage.Step{Op: stage.OpAttach, FD: index, Path: destination + "/" + name, Flags: stage.NoSymlinks})
	}
	if attr&unix.MOUNT_ATTR_RDONLY == 0 {
		if err := unix.Fchmodat(int(dir.Fd()), ".", 0o555, 0); err != nil { // as in sysfs; a group is made in a hierarchy, not here
			return fmt.Errorf("change the mode of the container's cgroup view: %w", err)
		}
	} else {
		readOnly := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err := unix.MountSetattr(int(dir.Fd()), "", unix.AT_EMPTY_PATH, &readOnly); err != nil {
			return fmt.Errorf("make the container's cgroup view read-only: %w", err)
		}
	}
	return nil
}
