package system

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime/apparmor"
	"github.com/lrun-dev/lrun/runtime/cgroup"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// machine adds what the kernel and the system say about themselves.
func (i *info) machine() error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	i.KernelVersion = unix.ByteSliceToString(name.Release[:])
	i.Architecture = unix.ByteSliceToString(name.Machine[:])
	i.Name = unix.ByteSliceToString(name.Nodename[:])
	var si unix.Sysinfo_t
	if err := unix.Sysinfo(&si); err != nil {
		return fmt.Errorf("sysinfo: %w", err)
	}
	i.MemTotal = int64(si.Totalram) * int64(si.Unit)
	i.OperatingSystem = operatingSystem("/")
	i.BackingFilesystem = filesystem(i.RootDir)
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	h, err := cgroup.Detect()
	if err == nil {
		i.cgroups(h.Mounts())
	}
	return errors.Join(i.process(status), err, i.appArmor(apparmor.This()))
}

// appArmor adds the profile of containers.
func (i *info) appArmor(host apparmor.Host) (err error) {
	if host.Enabled() {
		i.AppArmor, _, err = host.Standard()
	}
	return err
}

// process adds what a /proc/PID/status says that this process may not do.
func (i *info) process(status []byte) error {
	last, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(last)))
	if err != nil {
		return fmt.Errorf("parse cap_last_cap: %w", err)
	}
	i.MissingCapabilities = []string{}
	for line := range bytes.Lines(status) {
		key, value, _ := strings.Cut(string(line), ":")
		switch key {
		case "Seccomp":
			i.Seccomp = true
		case "CapEff":
			effective, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			if err != nil {
				return fmt.Errorf("parse CapEff: %w", err)
			}
			all := uint64(1)<<(n+1) - 1
			i.MissingCapabilities = append(i.MissingCapabilities, spec.CapabilityNames(all&^effective)...)
		}
	}
	if slices.Contains(i.MissingCapabilities, "CAP_SYS_ADMIN") {
		i.Warnings = append(i.Warnings, "without CAP_SYS_ADMIN nothing can be mounted: no container will start")
	}
	return nil
}

// cgroups adds the hierarchies that are mounted.
func (i *info) cgroups(mounts []cgroup.Mount) {
	versions := map[int]bool{}
	i.CgroupHierarchies = []cgroupHierarchy{}
	for _, m := range mounts {
		v := cgroupHierarchy{Mountpoint: m.Mountpoint, Version: 1, Controllers: m.Controllers}
		if m.Unified {
			v.Version = 2
		}
		versions[v.Version] = true
		i.CgroupHierarchies = append(i.CgroupHierarchies, v)
	}
	switch {
	case versions[1] && versions[2]:
		i.CgroupVersion = "1 and 2 (hybrid)"
	case versions[2]:
		i.CgroupVersion = "2"
	case versions[1]:
		i.CgroupVersion = "1"
	default:
		i.CgroupVersion = "none"
		i.Warnings = append(i.Warnings, "no cgroup hierarchy is mounted: containers have no limits, and their processes are found by pid only")
	}
}

// appArmorWords says what a profile means for containers.
func appArmorWords(profile string) string {
	switch profile {
	case "":
		return "not in this kernel, or off"
	case apparmor.Unconfined:
		return "containers are unconfined: there is no apparmor_parser to load " + apparmor.Default
	}
	return profile
}

// operatingSystem is the name that the system whose root directory is given has for itself.
func operatingSystem(root string) string {
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		f, err := os.Open(filepath.Join(root, name))
		if err != nil {
			continue
		}
		pretty := prettyName(bufio.NewScanner(f))
		_ = f.Close() // was only read
		if pretty != "" {
			return pretty
		}
	}
	return "unknown"
}

// prettyName finds PRETTY_NAME among the lines of an os-release.
func prettyName(lines *bufio.Scanner) string {
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "PRETTY_NAME="); ok {
			return strings.Trim(value, `"'`)
		}
	}
	return ""
}

// filesystem is the name of the filesystem that path is on; of an unknown one its magic number.
func filesystem(path string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return "unknown"
	}
	switch uint32(st.Type) {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	case unix.F2FS_SUPER_MAGIC:
		return "f2fs"
	case unix.NFS_SUPER_MAGIC:
		return "nfs"
	case unix.FUSE_SUPER_MAGIC:
		return "fuse"
	case 0x2fc12fc1:
		return "zfs"
	default:
		return fmt.Sprintf("magic number 0x%x", uint32(st.Type))
	}
}
