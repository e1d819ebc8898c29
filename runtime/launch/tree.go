package launch

import (
	"fmt"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime/filesystem"
	"github.com/lrun-dev/lrun/runtime/spec"
	"github.com/lrun-dev/lrun/runtime/stage"
)

// mounts plans every mount of the configuration, in its order.
func (p *planner) mounts() error {
	for _, m := range p.request.Spec.Mounts {
		if err := p.mount(m); err != nil {
			return fmt.Errorf("prepare mount %s: %w", m.Destination, err)
		}
	}
	return nil
}

func (p *planner) mount(m specs.Mount) error {
	switch m.Type {
	case "proc", "sysfs", "mqueue":
		attr, data := filesystem.Split(m.Options)
		p.do(stage.Step{
			Op: stage.OpFilesystem, Path: m.Destination, Flags: plain(m.Destination), Attr: attr,
			Data: append([]string{m.Type}, p.named(m, data)...),
		})
		return nil
	case "cgroup":
		p.later(func() error { return p.cgroupView(m) })
		return nil
	case "devpts":
		return p.devpts(m)
	case "tmpfs":
		return p.tmpfs(m)
	case "bind":
		return p.bind(m)
	}
	return unsupported("a mount of type %q", m.Type)
}

// plain says which targets must not go through a symbolic link: those that the container's safety
// rests on.
func plain(destination string) uint64 {
	for _, dir := range []string{"/proc", "/sys", "/dev"} {
		if destination == dir || strings.HasPrefix(destination, dir+"/") {
			return stage.NoSymlinks
		}
	}
	return 0
}

// named adds to the options of a filesystem what it is called in the container's list of mounts, and the label of its files.
func (p *planner) named(m specs.Mount, options []string) []string {
	if label := p.request.Spec.Linux.MountLabel; label != "" && (m.Type == "tmpfs" || m.Type == "devpts") {
		options = append(options, "context="+label)
	}
	if m.Source == "" {
		return options
	}
	return append(options, "source="+m.Source)
}

// tmpfs plans one which becomes read-only, as with other runtimes, when the places of mounts, the devices and the working
// directory below it are made.
func (p *planner) tmpfs(m specs.Mount) error {
	attr, data := filesystem.Split(m.Options)
	readOnly := attr&unix.MOUNT_ATTR_RDONLY != 0
	attr &^= unix.MOUNT_ATTR_RDONLY
	flags := plain(m.Destination)
	if !slices.ContainsFunc(data, func(option string) bool { return strings.HasPrefix(option, "mode=") }) {
		flags |= stage.LikeTarget
	}
	if m.Destination != "/dev" && p.request.UserNS.Own() { // so that it belongs to the user namespace
		s := stage.Step{Op: stage.OpFilesystem, FD: -1, Path: m.Destination, Flags: flags, Attr: attr, Data: append([]string{"tmpfs"}, p.named(m, data)...)}
		if readOnly {
			s.FD = p.file(p.request.Root) // only a place, which the mount takes
			p.frozen = append(p.frozen, s.FD)
		}
		p.add(s)
		return nil
	}
	// /dev is filled before it is attached, with device nodes, which only the host's root can make.
	fs, err := filesystem.OpenFor(p.request.UserNS, "tmpfs", p.named(m, data), attr)
	if err != nil {
		return err
	}
	index := p.own(fs)
	if readOnly {
		p.frozen = append(p.frozen, index)
	}
	if m.Destination == "/dev" {
		shm := slices.ContainsFunc(p.request.Spec.Mounts, func(m specs.Mount) bool { return m.Destination == spec.SharedMemoryPath })
		if err := filesystem.FillDev(fs, p.devicesOf("/dev"), p.request.UserNS, shm); err != nil {
			return err
		}
	}
	p.add(stage.Step{Op: stage.OpAttach, FD: index, Path: m.Destination, Flags: flags})
	return nil
}

// devpts is made here and not by the child, so that the terminal can be opened from it.
func (p *planner) devpts(m specs.Mount) error {
	attr, data := filesystem.Split(m.Options)
	fs, err := filesystem.OpenFor(p.request.UserNS, "devpts", p.named(m, data), attr)
	if err != nil {
		return err
	}
	p.add(stage.Step{Op: stage.OpAttach, FD: p.own(fs), Path: m.Destination, Flags: plain(m.Destination)})
	if !p.request.Spec.Process.Terminal {
		return nil
	}
	if p.streams.console, p.streams.terminal, err = filesystem.OpenTerminal(fs, p.request.Size); err != nil {
		return err
	}
	p.do(stage.Step{
		Op: stage.OpInside, Path: "/dev/console", Flags: stage.NoSymlinks | stage.IsFile, Data: []string{m.Destination + "/0"},
	})
	return nil
}

func (p *planner) bind(m specs.Mount) error {
	tree, err := filesystem.Bind(m, p.request.Owners)
	if err != nil {
		return err
	}
	index := p.own(tree)
	var st unix.Stat_t
	if err := unix.Fstat(int(tree.Fd()), &st); err != nil {
		return err
	}
	flags := plain(m.Destination)
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		flags |= stage.IsFile
	}
	p.add(stage.Step{Op: stage.OpAttach, FD: index, Path: m.Destination, Flags: flags})
	return nil
}
