package spec

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// HostDevices are the nodes that --privileged gives: all of the host's /dev but its terminals.
func HostDevices() ([]specs.LinuxDevice, error) {
	var list []specs.LinuxDevice
	err := filepath.WalkDir("/dev", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // devices come and go
		}
		switch entry.Name() {
		case "pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev":
			if entry.IsDir() {
				return fs.SkipDir
			}
		case "console", "ptmx":
			return nil
		}
		if entry.Type()&fs.ModeDevice == 0 {
			return nil
		}
		device, err := hostDevice(path)
		if err == nil {
			list = append(list, device)
		}
		return nil
	})
	return list, err
}

func hostDevice(path string) (specs.LinuxDevice, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return specs.LinuxDevice{}, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return specs.LinuxDevice{}, unix.ENODEV
	}
	kind, mode := "c", info.Mode().Perm()
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		kind = "b"
	}
	return specs.LinuxDevice{
		Path: path, Type: kind, FileMode: &mode, UID: &st.Uid, GID: &st.Gid,
		Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev)),
	}, nil
}
