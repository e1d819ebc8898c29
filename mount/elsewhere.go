package mount

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// OpenIn is Open of a bind whose source is looked at in another mount namespace, that of a process in a user namespace of
// its own: there the kernel lets nobody undo what the host's mount forbids, nor uncover what is below a mount of the host, nor
// mount anything that comes to the host (mount_namespaces(7)), and so neither in the clone. Without "rbind" a source with mounts below it is refused there:
// errdefs.ErrInvalidArgument. A source that the other namespace shows another file for is errdefs.ErrFailedPrecondition.
func (m Mount) OpenIn(namespace *os.File) (f *os.File, err error) {
	source, err := os.OpenFile(m.Source, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", source.Fd()))
	if err == nil {
		onOwnThread(func() { f, err = m.openElsewhere(namespace, path) })
	}
	if err == nil {
		err = sameFile(f, source)
	}
	if err = errors.Join(err, source.Close()); err != nil && f != nil {
		_ = f.Close() // the first error tells more
		return nil, err
	}
	return f, err
}

// OpenMappedIn is OpenMapped of a bind that OpenIn opens in the mount namespace of o.
func (m Mount) OpenMappedIn(o Owners) (*os.File, error) {
	f, err := m.OpenIn(o.Mounts)
	if err != nil {
		return nil, err
	}
	if err := m.translate(f, o, slices.ContainsFunc(m.Options, isRecursive)); err != nil {
		_ = f.Close() // the first error tells more
		return nil, err
	}
	return f, nil
}

// openElsewhere changes the calling thread for good.
func (m Mount) openElsewhere(namespace *os.File, path string) (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return nil, m.fail("unshare", unix.CLONE_FS, err)
	}
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNS); err != nil {
		return nil, m.fail("setns", unix.CLONE_NEWNS, err)
	}
	m.Source = path
	f, err := m.Open()
	if errors.Is(err, unix.EINVAL) && !slices.ContainsFunc(m.Options, isRecursive) {
		err = fmt.Errorf("%w: it has mounts below it, which a container with a user namespace of its own cannot do without: %w", err, errdefs.ErrInvalidArgument)
	}
	return f, err
}

// sameFile refuses a clone that is not of the file source.
func sameFile(clone, source *os.File) error {
	var a, b unix.Stat_t
	if err := errors.Join(unix.Fstat(int(clone.Fd()), &a), unix.Fstat(int(source.Fd()), &b)); err != nil {
		return err
	}
	if a.Dev != b.Dev || a.Ino != b.Ino {
		return fmt.Errorf("%s is another file for the container's user namespace, as if it had been mounted over or replaced just now: %w",
			source.Name(), errdefs.ErrFailedPrecondition)
	}
	return nil
}

// OpenFile clones the mount of one file of a detached filesystem, which is not to be used any more.
func OpenFile(filesystem *os.File, name string) (f *os.File, err error) {
	onOwnThread(func() { f, err = openFileInThread(filesystem, name) })
	return f, err
}

// openFileInThread changes the calling thread for good. What is below a detached mount can be cloned since Linux 6.15 only.
func openFileInThread(filesystem *os.File, name string) (f *os.File, err error) {
	const flags = unix.CLONE_FS | unix.CLONE_NEWNS
	if err := unix.Unshare(flags); err != nil {
		return nil, os.NewSyscallError("unshare", err)
	}
	if err := unix.Mount("", scratch, "", unix.MS_PRIVATE, ""); err != nil {
		return nil, &os.PathError{Op: "mount", Path: scratch, Err: err}
	}
	if err := Attach(filesystem, scratch); err != nil {
		return nil, err
	}
	fd, err := unix.OpenTree(int(filesystem.Fd()), name, unix.OPEN_TREE_CLONE|unix.O_CLOEXEC)
	if err != nil {
		return nil, &os.PathError{Op: "open_tree", Path: name, Err: err}
	}
	f = os.NewFile(uintptr(fd), name)
	// The namespace dies a little after the call returns.
	if err := unix.Unmount(scratch, unix.MNT_DETACH); err != nil {
		_ = f.Close() // the first error tells more
		return nil, &os.PathError{Op: "umount", Path: scratch, Err: err}
	}
	return f, nil
}
