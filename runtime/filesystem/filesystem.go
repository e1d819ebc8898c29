// Package filesystem makes the filesystems of a container that do not depend on its namespaces, as detached mounts that
// nobody sees before they are attached.
package filesystem

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Open makes a detached mount of a new filesystem with options (key=value or a flag) and the mount attributes attr. The
// caller closes it.
func Open(kind string, options []string, attr uint64) (*os.File, error) {
	ctx, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open filesystem %s: %w", kind, err)
	}
	defer unix.Close(ctx)
	for _, option := range options {
		key, value, hasValue := strings.Cut(option, "=")
		if hasValue {
			err = unix.FsconfigSetString(ctx, key, value)
		} else {
			err = unix.FsconfigSetFlag(ctx, key)
		}
		if err != nil {
			return nil, fmt.Errorf("set option %q of %s: %w", option, kind, err)
		}
	}
	if err := unix.FsconfigCreate(ctx); err != nil {
		return nil, fmt.Errorf("create filesystem %s with %q: %w", kind, options, err)
	}
	fd, err := unix.Fsmount(ctx, unix.FSMOUNT_CLOEXEC, int(attr))
	if err != nil {
		return nil, fmt.Errorf("mount filesystem %s: %w", kind, err)
	}
	return os.NewFile(uintptr(fd), kind), nil
}

// Split divides mount options, as a configuration has them, into attributes of the mount (MOUNT_ATTR_…) and options of the
// filesystem.
func Split(options []string) (attr uint64, data []string) {
	for _, option := range options {
		switch option {
		case "ro":
			attr |= unix.MOUNT_ATTR_RDONLY
		case "nosuid":
			attr |= unix.MOUNT_ATTR_NOSUID
		case "nodev":
			attr |= unix.MOUNT_ATTR_NODEV
		case "noexec":
			attr |= unix.MOUNT_ATTR_NOEXEC
		case "rw":
			attr &^= unix.MOUNT_ATTR_RDONLY
		case "suid":
			attr &^= unix.MOUNT_ATTR_NOSUID
		case "dev":
			attr &^= unix.MOUNT_ATTR_NODEV
		case "exec":
			attr &^= unix.MOUNT_ATTR_NOEXEC
		default:
			if known := accessTime(&attr, option); !known {
				data = append(data, option)
			}
		}
	}
	return attr, data
}

// accessTime sets in attr what an option says of access times, and tells whether it does.
func accessTime(attr *uint64, option string) bool {
	switch option {
	case "nodiratime":
		*attr |= unix.MOUNT_ATTR_NODIRATIME
	case "diratime":
		*attr &^= unix.MOUNT_ATTR_NODIRATIME
	case "noatime":
		*attr = *attr&^unix.MOUNT_ATTR__ATIME | unix.MOUNT_ATTR_NOATIME
	case "strictatime":
		*attr = *attr&^unix.MOUNT_ATTR__ATIME | unix.MOUNT_ATTR_STRICTATIME
	case "atime", "relatime", "norelatime", "nostrictatime": // the kernel's own is relatime
		*attr &^= unix.MOUNT_ATTR__ATIME
	default:
		return false
	}
	return true
}
