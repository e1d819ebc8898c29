package mount

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Attach puts the detached mount fd at target, which must exist: a directory for a directory, a
// file for a file. A symbolic link at target's end is not followed. It uses fd and leaves it open.
func Attach(fd *os.File, target string) error {
	const flags = unix.MOVE_MOUNT_F_EMPTY_PATH
	if err := unix.MoveMount(int(fd.Fd()), "", unix.AT_FDCWD, target, flags); err != nil {
		return &Error{Op: "move_mount", Source: fd.Name(), Target: target, Flags: flags, Err: err}
	}
	return nil
}

// Unmount detaches the topmost mount at target; what uses it keeps it until it is done. Nothing
// mounted there, and nothing there at all, is no error. A symbolic link is not followed.
func Unmount(target string) error {
	const flags = unix.MNT_DETACH | unix.UMOUNT_NOFOLLOW
	err := unix.Unmount(target, flags)
	switch {
	case err == nil || isMissing(err):
		return nil
	case errors.Is(err, unix.EINVAL) && !isMountPoint(target):
		return nil
	}
	return &Error{Op: "umount", Target: target, Flags: flags, Err: err}
}

// isMountPoint tells "not mounted" from the other meanings of EINVAL, such as a mount that is
// locked to a namespace.
func isMountPoint(target string) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, target, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, 0, &st)
	return err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
