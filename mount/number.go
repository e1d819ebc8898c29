package mount

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// scratch is where mount(2), which knows no detached mounts, attaches in a namespace of its own. It
// is a mount point everywhere, so that its propagation can be cut without touching another mount.
const scratch = "/proc"

// openByNumber makes the mount with mount(2) on a thread that has its own working directory and
// mount namespace and ends with the call, and clones it out of there.
func (m Mount) openByNumber(attr uint64, options []Option) (f *os.File, err error) {
	onOwnThread(func() { f, err = m.openInThread(attr, options) })
	return f, err
}

// onOwnThread runs fn, which may spoil its thread, on one that ends with it.
func onOwnThread(fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			fn()
			return // still locked: the thread ends with its goroutine
		}
		// The main thread never ends, and is what /proc/self shows. Held here, it cannot be chosen again.
		defer runtime.UnlockOSThread()
		onOwnThread(fn)
	}()
	<-done
}

// openInThread changes the calling thread for good.
func (m Mount) openInThread(attr uint64, options []Option) (*os.File, error) {
	const flags = unix.CLONE_FS | unix.CLONE_NEWNS
	if err := unix.Unshare(flags); err != nil {
		return nil, m.fail("unshare", flags, err)
	}
	return m.openAtScratch(attr, options)
}

// openAtScratch makes the mount in the thread's own mount namespace and clones it out of there.
func (m Mount) openAtScratch(attr uint64, options []Option) (*os.File, error) {
	// Only after the unshare: since Linux 5.14 a layer must be of the caller's own mount namespace.
	data, fds, err := m.numbers(options)
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd) // opened for reading only: nothing is lost
		}
	}()
	if err != nil {
		return nil, err
	}
	if len(data) >= os.Getpagesize() {
		return nil, m.fail("mount", 0, fmt.Errorf("%d bytes of options, the kernel takes %d: %w", len(data), os.Getpagesize()-1, errdefs.ErrInvalidArgument))
	}
	if err := unix.Mount("", scratch, "", unix.MS_PRIVATE, ""); err != nil {
		return nil, m.fail("make "+scratch+" private", unix.MS_PRIVATE, err)
	}
	if err := unix.Chdir("/proc/self/fd"); err != nil {
		return nil, m.fail("chdir /proc/self/fd", 0, err)
	}
	source := m.Source
	if source == "" {
		source = m.Type
	}
	if err := unix.Mount(source, scratch, m.Type, 0, data); err != nil {
		return nil, m.fail("mount", 0, fmt.Errorf("%w (the kernel's log, dmesg, may say why)", err))
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, scratch, unix.OPEN_TREE_CLONE|unix.O_CLOEXEC)
	if err != nil {
		return nil, m.fail("open_tree", unix.OPEN_TREE_CLONE|unix.O_CLOEXEC, err)
	}
	f := os.NewFile(uintptr(fd), m.Type)
	if err := m.leaveScratch(f, attr); err != nil {
		_ = f.Close() // the first error tells more
		return nil, err
	}
	return f, nil
}

// leaveScratch makes the clone f the only one: the namespace dies a little after the call returns.
func (m Mount) leaveScratch(f *os.File, attr uint64) error {
	if err := unix.Unmount(scratch, unix.MNT_DETACH); err != nil {
		return m.fail("umount "+scratch, unix.MNT_DETACH, err)
	}
	if err := setAttributes(f, unix.MountAttr{Attr_set: attr}, false); err != nil {
		return m.fail("mount_setattr", uintptr(attr), err)
	}
	return nil
}

// numbers writes the options for mount(2), each directory as the number of a descriptor, which the
// caller closes, also after an error.
func (m Mount) numbers(options []Option) (data string, fds []int, err error) {
	var words []string
	for _, o := range options {
		if o.Key == "context" && !strings.ContainsAny(o.Value, `"`) { // of SELinux, which takes quotes away
			words = append(words, `context="`+o.Value+`"`)
			continue
		}
		if strings.ContainsAny(o.Key+o.Value, ",\\") {
			return "", fds, m.refuse(o, "mount(2) knows no comma and no backslash in a value")
		}
		if o.Dirs == nil {
			words = append(words, strings.TrimSuffix(o.Key+"="+o.Value, "="))
			continue
		}
		var list []string
		for _, dir := range o.Dirs {
			fd, err := openDir(dir)
			if err != nil {
				return "", fds, m.fail(fmt.Sprintf("open %s %q", o.Key, dir), 0, err)
			}
			fds = append(fds, fd)
			list = append(list, strconv.Itoa(fd))
		}
		words = append(words, o.Key+"="+strings.Join(list, ":"))
	}
	return strings.Join(words, ","), fds, nil
}
