package filesystem

import (
	"errors"
	"fmt"
	"os"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// FillDev makes what every container's /dev has (runtime-spec, "Default Devices") in a tmpfs that no
// container sees yet, so no name in it can be a trap: devices, links, and directories to mount on, of
// which shm is made if it is asked for.
func FillDev(dev *os.File, devices []specs.LinuxDevice, ids spec.UserNamespace, shm bool) error {
	fd := int(dev.Fd())
	uid, gid := ids.Root()
	for _, d := range devices {
		if err := MakeDevice(fd, strings.TrimPrefix(d.Path, "/dev/"), d, ids); err != nil {
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
		if err := own(fd, link[1], uid, gid); err != nil {
			return err
		}
	}
	for _, dir := range [...]string{"pts", "mqueue", "shm"} {
		if dir == "shm" && !shm {
			return nil
		}
		if err := unix.Mkdirat(fd, dir, 0o755); err != nil {
			return fmt.Errorf("make directory /dev/%s: %w", dir, err)
		}
		if err := own(fd, dir, uid, gid); err != nil {
			return err
		}
	}
	// A tmpfs of the user's there takes this mode over.
	if err := unix.Fchmodat(fd, "shm", 0o1777, 0); err != nil {
		return fmt.Errorf("make directory /dev/shm for everybody: %w", err)
	}
	return nil
}

// own gives what root has just made to whom the container's root is, if that is somebody else.
func own(dir int, name string, uid, gid int) error {
	if uid == 0 && gid == 0 {
		return nil
	}
	if err := unix.Fchownat(dir, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH); err != nil {
		return fmt.Errorf("give %q to user %d, group %d: %w", name, uid, gid, err)
	}
	return nil
}

// MakeDevice makes the node of d by a name below the directory dev, which nobody else changes, with its mode and the owner
// that it has among the container's ids. What is missing of the directories between is made.
func MakeDevice(dev int, name string, d specs.LinuxDevice, ids spec.UserNamespace) error {
	if err := makeParents(dev, name, ids); err != nil {
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
	uid, gid := owner(d, ids)
	if err := own(dev, name, uid, gid); err != nil {
		return err
	}
	return unix.Fchmodat(dev, name, mode, 0) // whatever lrun's umask is
}

// owner returns the host's ids of a device's owner. One whom the container does not know is not known to it afterwards.
func owner(d specs.LinuxDevice, ids spec.UserNamespace) (uid, gid int) {
	uid, gid = ids.Root()
	if d.UID != nil {
		if id, ok := ids.HostUID(*d.UID); ok {
			uid = int(id)
		}
	}
	if d.GID != nil {
		if id, ok := ids.HostGID(*d.GID); ok {
			gid = int(id)
		}
	}
	return uid, gid
}

func makeParents(dev int, name string, ids spec.UserNamespace) error {
	uid, gid := ids.Root()
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		err := unix.Mkdirat(dev, name[:i], 0o755)
		if err == nil {
			err = errors.Join(unix.Fchmodat(dev, name[:i], 0o755, 0), own(dev, name[:i], uid, gid)) // whatever lrun's umask is
		}
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	return nil
}
