package quota

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// deviceOf returns the loop device of f, open: the one that it is attached to, or a new one, which ends with its last user.
// Nobody else calls it for the same file at the same time.
func deviceOf(f *os.File) (*os.File, error) {
	device, err := attached(f)
	if device != nil || err != nil {
		return device, err
	}
	return attach(f)
}

// attached returns the device that f is attached to, open, so that it stays; nil: none.
func attached(f *os.File) (*os.File, error) {
	const blocks = "/sys/block"
	devices, err := os.ReadDir(blocks)
	if err != nil {
		return nil, err // an empty list would mean a second device, and two file systems in one file
	}
	// How the path begins depends on the mount namespace of who attached it.
	end := "/" + filepath.Base(filepath.Dir(f.Name())) + "/" + imageName
	for _, d := range devices {
		if !strings.HasPrefix(d.Name(), "loop") {
			continue
		}
		backing, err := os.ReadFile(filepath.Join(blocks, d.Name(), "loop", "backing_file"))
		if err != nil || !strings.Contains(string(backing), end) { // it has none
			continue
		}
		device, err := openAttached(d.Name(), f)
		if device != nil || err != nil {
			return device, err
		}
	}
	return nil, nil
}

// openAttached opens the device name if it is still that of f.
func openAttached(name string, f *os.File) (*os.File, error) {
	device, err := os.OpenFile("/dev/"+name, os.O_RDWR, 0)
	if errors.Is(err, unix.ENXIO) || errors.Is(err, fs.ErrNotExist) { // it is just going
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, errors.Join(err, device.Close())
	}
	info, err := unix.IoctlLoopGetStatus64(int(device.Fd()))
	if err == nil && info.Inode == st.Ino && info.Device == st.Dev {
		return device, nil
	}
	return nil, device.Close()
}

// attempts bounds how often another process may take the device that was free.
const attempts = 1000

// attach attaches f to a device that was free.
func attach(f *os.File) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("%w (is the module loop there?)", err)
	}
	defer control.Close()
	config := unix.LoopConfig{Fd: uint32(f.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
	for range attempts {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, os.NewSyscallError("LOOP_CTL_GET_FREE", err)
		}
		device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", number), os.O_RDWR, 0)
		if errors.Is(err, unix.ENXIO) {
			continue
		}
		if err != nil {
			return nil, err
		}
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if err == nil {
			return device, nil
		}
		err = errors.Join(os.NewSyscallError("LOOP_CONFIGURE", err), device.Close())
		if !errors.Is(err, unix.EBUSY) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("others took every free one: %w", unix.EBUSY)
}
