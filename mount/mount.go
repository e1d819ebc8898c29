// Package mount makes, attaches and removes mounts by file descriptor. It needs Linux 5.12
// (mount_setattr) and /proc.
package mount

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/containerd/errdefs"
)

// Method says how the directories of a Mount reach the kernel.
type Method int

const (
	// ByDescriptor passes open directories to fsconfig(2). Overlayfs takes them from Linux 6.13 on.
	ByDescriptor Method = iota
	// ByPath passes /proc/self/fd/N to fsconfig(2). Overlayfs takes more than one lowerdir so from Linux 6.8 on.
	ByPath
	// ByNumber passes descriptor numbers to mount(2) with /proc/self/fd as working directory. Any kernel does that.
	ByNumber
)

// String is the name that a user reads, such as "by descriptor".
func (m Method) String() string {
	switch m {
	case ByDescriptor:
		return "by descriptor"
	case ByPath:
		return "by path"
	case ByNumber:
		return "by number"
	default:
		return "method " + strconv.Itoa(int(m))
	}
}

// Option is one parameter of a filesystem as mount(8) names it. With Dirs it is that many
// directories, in order, which reach the kernel as descriptors, so that their names may hold
// anything and be of any length; with neither Value nor Dirs it is a flag.
//
// For every type the flags nosuid, nodev, noexec, noatime and nosymfollow are attributes of the
// mount. A bind knows more flags, and refuses all others: "rbind" takes what is mounted below
// Source along, and "rro" makes ReadOnly hold for that too; "private", "shared", "rshared", "slave" and "rslave" say
// what becomes of mounts that are made later (mount_namespaces(7)), of which Source must be capable.
type Option struct {
	Key, Value string
	Dirs       []string
}

// Mount is a mount that can be made, any number of times. It is a value: nothing is open in it.
type Mount struct {
	// Type is that of the filesystem, or "bind".
	Type string
	// Source of a bind is the path of a file or directory; of the others what mountinfo shows.
	Source string
	// Options are given to the kernel in this order.
	Options []Option
	// ReadOnly makes the mount read-only, whatever the filesystem is.
	ReadOnly bool
	// Method is how Dirs are passed. Without Dirs it means nothing.
	Method Method
	// Over, unless it is nil, is laid over a directory first, so that names of Source and Dirs lead into it.
	Over *Over
}

// Open makes the mount without attaching it anywhere. Close of the returned descriptor drops it
// unless it was attached; openat(2) on the descriptor works at once. An overlay that has an
// upperdir and came up read-only, which the kernel does without an error, is an error here.
// The error is an *Error.
func (m Mount) Open() (*os.File, error) {
	attr, rest, err := m.split()
	if err != nil {
		return nil, err
	}
	switch {
	case m.Over != nil:
		return m.openOver(attr, rest)
	case m.Type == "bind":
		return m.openBind(attr, rest)
	case m.Method == ByNumber && hasDirs(rest):
		return m.writable(func() (*os.File, error) { return m.openByNumber(attr, rest) })
	default:
		return m.writable(func() (*os.File, error) { return m.openByContext(attr, rest) })
	}
}

// At makes the mount and attaches it to target, which must exist.
func (m Mount) At(target string) error {
	f, err := m.Open()
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			e.Target = target
		}
		return err
	}
	return errors.Join(Attach(f, target), f.Close())
}

// hasDirs reports whether an option is a list of directories.
func hasDirs(options []Option) bool {
	for _, o := range options {
		if o.Dirs != nil {
			return true
		}
	}
	return false
}

// refuse is the error of an option that no mount can have.
func (m Mount) refuse(o Option, why string) error {
	return m.fail("check option "+o.Key, 0, fmt.Errorf("%s: %w", why, errdefs.ErrInvalidArgument))
}
