package mount

import (
	"os"

	"golang.org/x/sys/unix"
)

// propagation is what a bind's later mounts do, and whether that holds for what is mounted below its top as well.
type propagation struct {
	kind  uint64 // MS_PRIVATE, MS_SHARED or MS_SLAVE
	below bool
}

// propagationOf returns the propagation that an option names; its kind is 0 for one that names none.
func propagationOf(o Option) propagation {
	if o.Value != "" || o.Dirs != nil {
		return propagation{}
	}
	switch o.Key {
	case "private":
		return propagation{unix.MS_PRIVATE, false}
	case "shared":
		return propagation{unix.MS_SHARED, false}
	case "rshared":
		return propagation{unix.MS_SHARED, true}
	case "slave", "rslave":
		return propagation{unix.MS_SLAVE, true}
	}
	return propagation{}
}

// bind is what openBind is asked for.
type bind struct {
	attr                   uint64
	recursive, recursiveRO bool
	propagation            propagation
}

// openBind clones the mount at Source, with what is mounted below it when asked. The clone is
// private, so that no later mount travels in or out, unless an option says otherwise.
func (m Mount) openBind(attr uint64, options []Option) (*os.File, error) {
	b := bind{attr: attr, propagation: propagation{unix.MS_PRIVATE, true}}
	for _, o := range options {
		p := propagationOf(o)
		switch {
		case p.kind != 0:
			b.propagation = p
		case o.Value == "" && o.Dirs == nil && o.Key == "rbind":
			b.recursive = true
		case o.Value == "" && o.Dirs == nil && o.Key == "rro":
			b.recursiveRO = true
		default:
			return nil, m.refuse(o, "unknown to a bind")
		}
	}
	flags := uint(unix.OPEN_TREE_CLONE | unix.O_CLOEXEC)
	if b.recursive {
		flags |= unix.AT_RECURSIVE
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, m.Source, flags)
	if err != nil {
		return nil, m.fail("open_tree", uintptr(flags), err)
	}
	f := os.NewFile(uintptr(fd), m.Source)
	if err := m.restrict(f, b); err != nil {
		_ = f.Close() // the first error tells more
		return nil, err
	}
	return f, nil
}

// restrict gives the clone f its propagation and attributes; below its top, read-only holds only when asked.
func (m Mount) restrict(f *os.File, b bind) error {
	below := unix.MountAttr{Attr_set: b.attr}
	if !b.recursiveRO {
		below.Attr_set &^= unix.MOUNT_ATTR_RDONLY
	}
	top := unix.MountAttr{Attr_set: b.attr}
	if b.propagation.below {
		below.Propagation = b.propagation.kind
	} else {
		top.Propagation = b.propagation.kind
	}
	if err := setAttributes(f, below, b.recursive); err != nil {
		return m.fail("mount_setattr", uintptr(below.Attr_set), err)
	}
	if top.Attr_set == below.Attr_set && top.Propagation == 0 {
		return nil
	}
	if err := setAttributes(f, top, false); err != nil {
		return m.fail("mount_setattr", uintptr(top.Attr_set), err)
	}
	return nil
}
