package mount

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// errReadOnly is what the kernel would have said, had it said something.
var errReadOnly = fmt.Errorf("mounted read-only, the kernel's log (dmesg) says why: %w", unix.EROFS)

// openByContext makes the mount with fsopen(2), one fsconfig(2) for each option, and fsmount(2).
func (m Mount) openByContext(attr uint64, options []Option) (*os.File, error) {
	fd, err := unix.Fsopen(m.Type, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, m.fail("fsopen", unix.FSOPEN_CLOEXEC, err)
	}
	defer unix.Close(fd)
	if m.Source != "" {
		if err := unix.FsconfigSetString(fd, "source", m.Source); err != nil {
			return nil, m.fail("fsconfig source", 0, explain(fd, err))
		}
	}
	for _, o := range options {
		if err := m.configure(fd, o); err != nil {
			return nil, err
		}
	}
	if err := unix.FsconfigCreate(fd); err != nil {
		return nil, m.fail("fsconfig create", 0, explain(fd, err))
	}
	mnt, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, int(attr))
	if err != nil {
		return nil, m.fail("fsmount", uintptr(attr), explain(fd, err))
	}
	return os.NewFile(uintptr(mnt), m.Type), nil
}

// configure gives one option to the context fd.
func (m Mount) configure(fd int, o Option) error {
	if o.Dirs == nil {
		var err error
		if o.Value == "" {
			err = unix.FsconfigSetFlag(fd, o.Key)
		} else {
			err = unix.FsconfigSetString(fd, o.Key, o.Value)
		}
		if err != nil {
			return m.fail("fsconfig "+o.Key, 0, explain(fd, err))
		}
		return nil
	}
	key := o.Key
	if m.Type == "overlay" && key == "lowerdir" {
		key = "lowerdir+" // one call for each
	}
	for _, dir := range o.Dirs {
		if err := m.configureDir(fd, key, dir); err != nil {
			return err
		}
	}
	return nil
}

// configureDir gives one directory. The kernel takes its own reference, so that 500 layers need one descriptor.
func (m Mount) configureDir(fd int, key, dir string) error {
	dirfd, err := openDir(dir)
	if err != nil {
		return m.fail(fmt.Sprintf("open %s %q", key, dir), 0, err)
	}
	defer unix.Close(dirfd)
	if m.Method == ByDescriptor {
		err = unix.FsconfigSetFd(fd, key, dirfd)
	} else {
		err = unix.FsconfigSetString(fd, key, "/proc/self/fd/"+strconv.Itoa(dirfd))
	}
	if err != nil {
		return m.fail(fmt.Sprintf("fsconfig %s %q", key, dir), 0, explain(fd, err))
	}
	return nil
}

// openDir opens a directory for the kernel's use. O_PATH would do from Linux 6.14 on only.
func openDir(dir string) (int, error) {
	return unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// explain adds to err what the kernel left in the log of the context fd: one message for each read.
func explain(fd int, err error) error {
	var messages []string
	buf := make([]byte, 1024)
	for {
		n, readErr := unix.Read(fd, buf)
		if readErr != nil || n <= 0 { // ENODATA: no more
			break
		}
		// "e text": e, w or i tells how bad it is.
		text := strings.TrimSpace(string(buf[:n]))
		if len(text) > 2 && text[1] == ' ' {
			text = text[2:]
		}
		messages = append(messages, text)
	}
	if len(messages) == 0 {
		return err
	}
	return &explained{err: err, messages: strings.Join(messages, "; ")}
}

// explained is an errno with the kernel's explanation.
type explained struct {
	err      error
	messages string
}

func (e *explained) Error() string { return e.err.Error() + " (kernel: " + e.messages + ")" }
func (e *explained) Unwrap() error { return e.err }

// isMissing reports whether err says that a path does not exist.
func isMissing(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR)
}
