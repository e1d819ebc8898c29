package mount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// Owners is a user namespace by whose map the owners of files are translated: what is 0's on disk is its root's in the
// mount, and what its root makes there is 0's on disk.
type Owners struct {
	// Namespace is /proc/PID/ns/user, open.
	Namespace *os.File
	// Mounts is /proc/PID/ns/mnt of the same process, open, for OpenIn; nil: not known.
	Mounts *os.File
	// UID and GID are what root of the namespace is outside.
	UID, GID int
}

// OwnersOf opens the namespaces of a process, for Close.
func OwnersOf(pid int) (*Owners, error) {
	user, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", pid))
	if err != nil {
		return nil, err
	}
	mounts, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil {
		return nil, errors.Join(err, user.Close())
	}
	return &Owners{Namespace: user, Mounts: mounts}, nil
}

// Close closes the namespaces.
func (o Owners) Close() error { return errors.Join(o.Namespace.Close(), o.Mounts.Close()) }

func isRecursive(o Option) bool { return o.Key == "rbind" }

// OpenMapped is Open of a mount in which the owners of all files are translated. Nothing on disk changes. Of a bind with
// "rbind" the mounts below are translated too. Of any other type all options with Dirs are; their directories must have
// one in common that is not the root. A file system that cannot be mapped is errdefs.ErrNotImplemented.
func (m Mount) OpenMapped(o Owners) (*os.File, error) {
	attr, rest, err := m.split()
	if err != nil {
		return nil, err
	}
	switch {
	case m.Type == "bind" && m.Over != nil:
		return m.openMappedBindOver(attr, rest, o)
	case m.Type == "bind":
		return m.openMappedBind(attr, rest, o)
	default:
		return m.openMappedOverlay(attr, rest, o)
	}
}

func (m Mount) openMappedBind(attr uint64, options []Option, o Owners) (*os.File, error) {
	f, err := m.openBind(attr, options)
	if err != nil {
		return nil, err
	}
	recursive := slices.ContainsFunc(options, isRecursive)
	if err := m.translate(f, o, recursive); err != nil {
		_ = f.Close() // the first error tells more
		return nil, err
	}
	return f, nil
}

// translate sets the map of the detached mount f.
func (m Mount) translate(f *os.File, o Owners, recursive bool) error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(o.Namespace.Fd())}
	err := setAttributes(f, attr, recursive)
	if errors.Is(err, unix.EINVAL) {
		err = fmt.Errorf("the file system cannot map owners (idmapped mounts): %w: %w", err, errdefs.ErrNotImplemented)
	}
	if err != nil {
		return &Error{Op: "mount_setattr", Source: f.Name(), Flags: unix.MOUNT_ATTR_IDMAP, Err: err}
	}
	return nil
}

func (m Mount) openMappedOverlay(attr uint64, options []Option, o Owners) (f *os.File, err error) {
	over, err := m.Over.open()
	if err != nil {
		return nil, err
	}
	onOwnThread(func() { f, err = m.openMappedInThread(attr, options, o, over) })
	if over != nil {
		err = errors.Join(err, over.Close())
	}
	return f, err
}

// openMappedInThread changes the calling thread for good. An overlay cannot be mapped, but its layers can: in a mount
// namespace of the thread's own a mapped clone of the directory that holds them lies over it, so that their names lead into
// the clone. (Linux before 6.15 takes no layer from a detached mount.)
func (m Mount) openMappedInThread(attr uint64, options []Option, o Owners, over *os.File) (*os.File, error) {
	base := commonDir(options)
	if base == "/" {
		return nil, m.fail("map owners", 0, fmt.Errorf("its directories have only the root in common: %w", errdefs.ErrInvalidArgument))
	}
	if err := m.unshare(); err != nil {
		return nil, err
	}
	clone, err := Mount{Type: "bind", Source: base}.openMappedBind(0, nil, o)
	if err != nil {
		return nil, err
	}
	defer clone.Close()
	if err := Attach(clone, base); err != nil {
		return nil, err
	}
	if err := m.attachMapped(over, o); err != nil {
		return nil, err
	}
	if err := become(o.UID, o.GID); err != nil {
		return nil, m.fail(fmt.Sprintf("become user %d, group %d", o.UID, o.GID), 0, err)
	}
	return m.writable(func() (*os.File, error) {
		if m.Method == ByNumber {
			return m.openAtScratch(attr, options)
		}
		return m.openByContext(attr, options)
	})
}

// become gives the calling thread the effective ids, with all that root may do. Overlayfs makes files, its workdir among
// them, as who mounted it: ids that a mapped upperdir does not know would leave it read-only.
func become(uid, gid int) error {
	const same = ^uintptr(0)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, same, uintptr(gid), same); errno != 0 {
		return errno
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, same, uintptr(uid), same); errno != 0 {
		return errno
	}
	// What is effective has gone with the effective user; what is permitted stays with the real one.
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	for i := range data {
		data[i].Effective = data[i].Permitted
	}
	return unix.Capset(&header, &data[0])
}

// commonDir returns the deepest directory that holds all Dirs of options.
func commonDir(options []Option) string {
	common := ""
	for _, o := range options {
		for _, dir := range o.Dirs {
			if !filepath.IsAbs(dir) {
				return "/"
			}
			dir = filepath.Dir(dir)
			for common != "" && dir != common && !strings.HasPrefix(dir+"/", strings.TrimSuffix(common, "/")+"/") {
				common = filepath.Dir(common)
			}
			if common == "" {
				common = dir
			}
		}
	}
	return common
}
