package overlay

import (
	"os"

	"golang.org/x/sys/unix"
)

// Whiteouts writes removals into a directory that will be a lowerdir or upperdir, in the form that
// mounts by root understand. It needs CAP_MKNOD and CAP_SYS_ADMIN.
type Whiteouts struct{}

// Whiteout makes name in dir the removal of that name below. Something of that name in dir is an
// error that is fs.ErrExist.
func (Whiteouts) Whiteout(dir *os.File, name string) error {
	if err := unix.Mknodat(int(dir.Fd()), name, unix.S_IFCHR, 0); err != nil {
		return &os.PathError{Op: "whiteout", Path: dir.Name() + "/" + name, Err: err}
	}
	return nil
}

// Opaque hides all that the lowerdirs hold in dir, now and again: doing it twice changes nothing.
func (Whiteouts) Opaque(dir *os.File) error {
	if err := unix.Fsetxattr(int(dir.Fd()), "trusted.overlay.opaque", []byte("y"), 0); err != nil {
		return &os.PathError{Op: "make opaque", Path: dir.Name(), Err: err}
	}
	return nil
}
