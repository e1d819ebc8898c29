package launch

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/runtime/filesystem"
	"github.com/lrun-dev/lrun/runtime/launch/failure"
	"github.com/lrun-dev/lrun/runtime/spec"
	"github.com/lrun-dev/lrun/runtime/stage"
)

// devicesOf are the nodes whose directory is on the mount at destination; "": on the container's root.
func (p *planner) devicesOf(destination string) []specs.LinuxDevice {
	c := p.request.Spec
	return slices.DeleteFunc(slices.Clone(c.Linux.Devices), func(d specs.LinuxDevice) bool { return filesystem.Covering(c.Mounts, d.Path) != destination })
}

// devices plans the nodes that are not made with /dev. Where a /dev of the host is bound they are all there.
func (p *planner) devices() error {
	for _, d := range p.request.Spec.Linux.Devices {
		if filesystem.Covering(p.request.Spec.Mounts, d.Path) == "/dev" {
			continue
		}
		if p.request.UserNS.Own() {
			if err := p.attachDevice(d); err != nil {
				return fmt.Errorf("make the device %s: %w", d.Path, err)
			}
			continue
		}
		mode, uid, gid := uint64(unix.S_IFCHR|0o666), uint64(0), uint64(0)
		if d.Type == "b" {
			mode = unix.S_IFBLK | 0o666
		}
		if d.FileMode != nil {
			mode = mode&unix.S_IFMT | uint64(d.FileMode.Perm())
		}
		if d.UID != nil && d.GID != nil {
			uid, gid = uint64(*d.UID), uint64(*d.GID)
		}
		if plain(d.Path) == 0 {
			p.do(stage.Step{Op: stage.OpMkdir, Path: filepath.Dir(d.Path)})
		}
		number := unix.Mkdev(uint32(d.Major), uint32(d.Minor))
		p.do(stage.Step{Op: stage.OpDevice, Path: d.Path, Flags: plain(d.Path), Blob: stage.Numbers(mode, number, uid, gid)})
	}
	return nil
}

// attachDevice plans a node that the root of a user namespace cannot make, as a mount of its own.
func (p *planner) attachDevice(d specs.LinuxDevice) error {
	const name = "0"
	fs, err := filesystem.Open("tmpfs", []string{"mode=755", "size=64k"}, unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return err
	}
	defer fs.Close()
	if err := filesystem.MakeDevice(int(fs.Fd()), name, d, p.request.UserNS); err != nil {
		return err
	}
	node, err := mount.OpenFile(fs, name)
	if err != nil {
		return err
	}
	p.add(stage.Step{Op: stage.OpAttach, FD: p.own(node), Path: d.Path, Flags: plain(d.Path) | stage.IsFile})
	return nil
}

// sysctls plans what is written before the root is changed, to the host's procfs: whichever is mounted, it shows a process
// the settings of its own namespaces.
func (p *planner) sysctls() error {
	all := p.request.Spec.Linux.Sysctl
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name == spec.DomainSysctl && p.request.Spec.Domainname != "" { // the domain name has a step of its own
			continue
		}
		path, err := spec.SysctlPath(name)
		if err != nil {
			return err
		}
		p.do(stage.Step{Op: stage.OpAttribute, Path: path, Data: []string{failure.Sysctls + path}, Blob: []byte(all[name])})
	}
	return nil
}
