// Package reach puts what a container gets by descriptor where another runtime reaches it by path.
package reach

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/runtime/filesystem"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// Open lets the root of a user namespace, who is owners' user and group outside, go through dir, a container's own below the
// state directory, and through the two directories above it, which get the mode 711. Nobody else can go through dir. That
// it cannot go through a directory further up is errdefs.ErrFailedPrecondition.
func Open(dir string, owners mount.Owners) error {
	if err := errors.Join(os.Chown(dir, 0, owners.GID), os.Chmod(dir, 0o710)); err != nil {
		return err
	}
	const lruns = 2 // levels
	for level := range strings.Count(dir, "/") {
		dir = filepath.Dir(dir)
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if mayEnter(info, owners) {
			continue
		}
		if level >= lruns {
			return fmt.Errorf("the container's root, user %d outside, cannot enter %s, and another runtime than the built-in one has to find the root file system below it; "+
				"give it the permission (chmod o+x), or choose another place with --state: %w", owners.UID, dir, errdefs.ErrFailedPrecondition)
		}
		if err := os.Chmod(dir, info.Mode().Perm()|0o011); err != nil {
			return err
		}
	}
	return nil
}

func mayEnter(info os.FileInfo, owners mount.Owners) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case ok && int(st.Uid) == owners.UID:
		return info.Mode()&0o100 != 0
	case ok && int(st.Gid) == owners.GID:
		return info.Mode()&0o010 != 0
	}
	return info.Mode()&0o001 != 0
}

// ownDescriptors is how the source of a mount begins that is a descriptor of this process: a part of a volume.
const ownDescriptors = "/proc/self/fd/"

// Attach gives the binds of config a path below dir whose sources are descriptors of this process, and those whose files
// are to have their owners mapped, which older runtimes cannot do.
func Attach(config *specs.Spec, dir string, owners *mount.Owners) error {
	config.Mounts = slices.Clone(config.Mounts)
	for i := range config.Mounts {
		m := &config.Mounts[i]
		mapped := slices.Contains(m.Options, "idmap")
		if !mapped && !strings.HasPrefix(m.Source, ownDescriptors) {
			continue
		}
		at := filepath.Join(dir, fmt.Sprintf("part%d", i))
		if err := attach(*m, at, owners); err != nil {
			return fmt.Errorf("prepare mount %s: %w", m.Destination, err)
		}
		m.Source, m.UIDMappings, m.GIDMappings = at, nil, nil
		m.Options = slices.DeleteFunc(slices.Clone(m.Options), func(o string) bool { return o == "idmap" })
	}
	return nil
}

// AttachDevices gives a container with a user namespace the devices that the user asked for as binds of nodes below dir.
// Other runtimes bind the host's node of the same name, which may be another one or none, and whose owner is nobody there.
func AttachDevices(config *specs.Spec, dir string, ids spec.UserNamespace) (err error) {
	own, others := divide(config.Linux.Devices)
	if len(own) == 0 {
		return nil
	}
	nodes := filepath.Join(dir, "parts")
	if err := os.Mkdir(nodes, 0o700); err != nil {
		return err
	}
	fs, err := filesystem.Open("tmpfs", []string{"mode=755", "size=64k"}, unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fs.Close()) }()
	if err := mount.Attach(fs, nodes); err != nil {
		return err
	}
	for i, d := range own {
		name := strconv.Itoa(i)
		if err := filesystem.MakeDevice(int(fs.Fd()), name, d, ids); err != nil {
			return fmt.Errorf("make device %s: %w", d.Path, err)
		}
		config.Mounts = append(config.Mounts, specs.Mount{
			Destination: d.Path, Type: "bind", Source: filepath.Join(nodes, name), Options: []string{"bind", "rprivate", "noexec"},
		})
	}
	linux := *config.Linux
	linux.Devices, config.Linux = others, &linux
	return nil
}

// divide finds those of the devices that are not what every container has.
func divide(devices []specs.LinuxDevice) (own, others []specs.LinuxDevice) {
	for _, d := range devices {
		if slices.ContainsFunc(spec.DefaultDevices(), func(o specs.LinuxDevice) bool {
			return o.Path == d.Path && o.Type == d.Type && o.Major == d.Major && o.Minor == d.Minor
		}) {
			others = append(others, d)
		} else {
			own = append(own, d)
		}
	}
	return own, others
}

// attach mounts the source of m at the path at, which it makes.
func attach(m specs.Mount, at string, owners *mount.Owners) error {
	info, err := os.Stat(m.Source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.Mkdir(at, 0o700)
	} else {
		err = os.WriteFile(at, nil, 0o600)
	}
	if err != nil {
		return err
	}
	tree, err := filesystem.Bind(m, owners)
	if err != nil {
		return err
	}
	return errors.Join(mount.Attach(tree, at), tree.Close())
}

// Detach takes away what Attach and AttachDevices have made below dir.
func Detach(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "part") {
			continue
		}
		at := filepath.Join(dir, e.Name())
		err := mount.Unmount(at)
		if err == nil {
			err = os.Remove(at)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
