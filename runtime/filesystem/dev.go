package filesystem

import (
	"fmt"
	"os"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// FillDev makes what every container's /dev has (runtime-spec, "Default Devices") in a tmpfs that no
// container sees yet, so no name in it
// can be a trap.
func FillDev(dev *os.File, devices []specs.LinuxDevice) error {
	fd := int(dev.Fd())
	for _, d := range devices {
		if err := makeDevice(fd, d); err != nil {
			return fmt.Errorf("make device %s: %w", d.Path, err)
		}
	}
	links := [][2]string{
		{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"},
	}
	if _, err := os.Lstat("/proc/kcore"); err == nil {
		links = append(links, [2]string{"/proc/kcore", "core"})
	}
	for _, link := range links {
		if err := unix.Symlinkat(link[0], fd, link[1]); err != nil {
			return fmt.Errorf("make link /dev/%s: %w", link[1], err)
		}
	}
	for _, dir := range [...]string{"pts", "shm", "mqueue"} {
		if err := unix.Mkdirat(fd, dir, 0o755); err != nil {
			return fmt.Errorf("make directory /dev/%s: %w", dir, err)
		}
	}
	// A tmpfs of the user's there takes this mode over.
	if err := unix.Fchmodat(fd, "shm", 0o1777, 0); err != nil {
		return fmt.Errorf("make directory /dev/shm for everybody: %w", err)
	}
	return nil
}

func makeDevice(dev int, d specs.LinuxDevice) error {
	name := strings.TrimPrefix(d.Path, "/dev/")
	if err := makeParents(dev, name); err != nil {
		return err
	}
	kind := uint32(unix.S_IFCHR)
	if d.Type == "b" {
		kind = unix.S_IFBLK
	}
	mode := uint32(0o666)
	if d.FileMode != nil {
		mode = uint32(d.FileMode.Perm())
	}
	number := unix.Mkdev(uint32(d.Major), uint32(d.Minor))
	if err := unix.Mknodat(dev, name, kind|mode, int(number)); err != nil {
		return err
	}
	if d.UID != nil && d.GID != nil {
		if err := unix.Fchownat(dev, name, int(*d.UID), int(*d.GID), unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
	}
	return unix.Fchmodat(dev, name, mode, 0) // whatever lrun's umask is
}

func makeParents(dev int, name string) error {
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		err := unix.Mkdirat(dev, name[:i], 0o755)
		if err == nil {
			err = unix.Fchmodat(dev, name[:i], 0o755, 0) // whatever lrun's umask is
		}
		if err != nil && err != unix.EEXIST {
			return err
		}
	}
	return nil
}
