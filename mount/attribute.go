package mount

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// attribute returns the MOUNT_ATTR_ bit of a flag, or 0.
func attribute(o Option) uint64 {
	if o.Value != "" || o.Dirs != nil {
		return 0
	}
	switch o.Key {
	case "nosuid":
		return unix.MOUNT_ATTR_NOSUID
	case "nodev":
		return unix.MOUNT_ATTR_NODEV
	case "noexec":
		return unix.MOUNT_ATTR_NOEXEC
	case "noatime":
		return unix.MOUNT_ATTR_NOATIME
	case "nosymfollow":
		return unix.MOUNT_ATTR_NOSYMFOLLOW
	}
	return 0
}

// split separates the attributes of the mount, ReadOnly included, from the options of the filesystem.
func (m Mount) split() (attr uint64, rest []Option, err error) {
	if m.ReadOnly {
		attr = unix.MOUNT_ATTR_RDONLY
	}
	for _, o := range m.Options {
		bit := attribute(o)
		if bit == 0 {
			rest = append(rest, o)
		}
		attr |= bit
		if o.Dirs != nil && (o.Value != "" || len(o.Dirs) == 0) {
			return 0, nil, m.refuse(o, "an option is a value or directories")
		}
	}
	return attr, rest, nil
}

// setAttributes gives attr to the mount f, and to all below it when recursive.
func setAttributes(f *os.File, attr unix.MountAttr, recursive bool) error {
	flags := uint(unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	if attr.Attr_set&unix.MOUNT_ATTR_NOATIME != 0 {
		attr.Attr_clr |= unix.MOUNT_ATTR__ATIME // the kernel wants the whole field cleared with it
	}
	return unix.MountSetattr(int(f.Fd()), "", flags, &attr)
}

// writable is open, and once more if an overlay that was to be written to came up read-only. Overlayfs makes a directory in the
// workdir anew each time. If the old one was not empty, its room is free only when the call has returned, which matters on a
// file system that is full.
func (m Mount) writable(open func() (*os.File, error)) (*os.File, error) {
	for try := 1; ; try++ {
		f, err := open()
		if err != nil {
			return nil, err
		}
		if err = m.checkWritable(f); err == nil {
			return f, nil
		}
		err = errors.Join(err, f.Close())
		if try == 2 || !errors.Is(err, errReadOnly) {
			return nil, err
		}
	}
}

// checkWritable fails for an overlay that was to be written to and cannot be: with an upperdir
// whose workdir it cannot use, overlayfs mounts read-only and says so in the kernel's log alone.
func (m Mount) checkWritable(f *os.File) error {
	if m.Type != "overlay" || m.ReadOnly {
		return nil
	}
	for _, o := range m.Options {
		if o.Key != "upperdir" {
			continue
		}
		var st unix.Statfs_t
		if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
			return m.fail("fstatfs", 0, err)
		}
		if st.Flags&unix.ST_RDONLY != 0 {
			return m.fail("check that the upperdir is used", 0, errReadOnly)
		}
	}
	return nil
}
