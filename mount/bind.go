package mount

import (
	"os"

	"golang.org/x/sys/unix"
)

// openBind clones the mount at Source, with what is mounted below it when asked. The clone is
// private: no later mount travels in or out.
func (m Mount) openBind(attr uint64, options []Option) (*os.File, error) {
	var recursive, recursiveRO bool
	for _, o := range options {
		switch {
		case o.Value == "" && o.Dirs == nil && o.Key == "rbind":
			recursive = true
		case o.Value == "" && o.Dirs == nil && o.Key == "rro":
			recursiveRO = true
		default:
			return nil, m.refuse(o, "unknown to a bind")
		}
	}
	flags := uint(unix.OPEN_TREE_CLONE | unix.O_CLOEXEC)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, m.Source, flags)
	if err != nil {
		return nil, m.fail("open_tree", uintptr(flags), err)
	}
	f := os.NewFile(uintptr(fd), m.Source)
	if err := m.restrict(f, attr, recursive, recursiveRO); err != nil {
		_ = f.Close() // the first error tells more
		return nil, err
	}
	return f, nil
}

// restrict makes the clone f private and gives it attr; below its top, read-only holds only when asked.
func (m Mount) restrict(f *os.File, attr uint64, recursive, recursiveRO bool) error {
	below := attr
	if !recursiveRO {
		below &^= unix.MOUNT_ATTR_RDONLY
	}
	set := unix.MountAttr{Attr_set: below, Propagation: unix.MS_PRIVATE}
	if err := setAttributes(f, set, recursive); err != nil {
		return m.fail("mount_setattr", uintptr(below), err)
	}
	if below == attr {
		return nil
	}
	if err := setAttributes(f, unix.MountAttr{Attr_set: attr}, false); err != nil {
		return m.fail("mount_setattr", uintptr(attr), err)
	}
	return nil
}
