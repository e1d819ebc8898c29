package spec

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// DefaultShmSize is the size of /dev/shm in bytes that Docker gives.
const DefaultShmSize = 64 << 20

// mounts are Docker's default ones, then the user's. A user's mount at or above a default one takes
// its place.
func mounts(s Settings, f Facts) []specs.Mount {
	list := shared(defaultMounts(s), s, f)
	// What is mounted deeper lies on top, in whichever order it was asked for.
	for _, m := range slices.SortedStableFunc(slices.Values(s.Mounts), func(a, b Mount) int { return cmp.Compare(depth(a), depth(b)) }) {
		own := userMount(m, s.UserNS)
		// In the place of the default one, so that what comes below it, such as /dev/pts, is mounted on it.
		instead := func(d specs.Mount) bool { return d.Destination == path.Clean(m.Target) }
		if i := slices.IndexFunc(list, instead); i >= 0 {
			list[i] = own
		} else {
			list = append(list, own)
		}
	}
	if f.Init != "" {
		list = append(list, specs.Mount{Destination: InitPath, Type: "bind", Source: f.Init, Options: []string{"bind", "ro"}})
	}
	return list
}

func depth(m Mount) int { return strings.Count(path.Clean(m.Target), "/") }

// checkTargets refuses a terminal that would have to be opened from a /dev/pts of somebody's choice (CVE-2025-52565), and
// a tmpfs that would hide the kernel's answers in /proc. Of other mounts there their file system decides, when they are
// opened.
func checkTargets(s Settings) error {
	for _, m := range s.Mounts {
		target := path.Clean(m.Target)
		switch {
		case s.Terminal && target == "/dev/pts":
			return fmt.Errorf("open a terminal: a mount or a volume of the image takes the place of the container's /dev/pts; "+
				"leave it or -t out: %w", errdefs.ErrInvalidArgument)
		case m.Type == "tmpfs" && (target == "/proc" || strings.HasPrefix(target, "/proc/")):
			return fmt.Errorf("%s belongs to the kernel; choose another place for the tmpfs: %w", target, errdefs.ErrInvalidArgument)
		}
	}
	return nil
}

func defaultMounts(s Settings) []specs.Mount {
	access := "ro"
	if s.Privileged {
		access = "rw"
	}
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", access}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{access, "nosuid", "noexec", "nodev"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=" + strconv.FormatInt(cmp.Or(s.ShmSize, DefaultShmSize), 10)}},
	}
}

func maskedPaths() []string {
	return []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
		"/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
	}
}

func readonlyPaths() []string {
	return []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
}

// MountPoints are the names, relative to the root, of what lrun mounts in every container by itself: where an image does
// not have them, a start makes them.
func MountPoints() []string {
	return []string{"dev", "etc/hostname", "etc/hosts", "etc/resolv.conf", "proc", "sys"}
}
