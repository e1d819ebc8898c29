package share

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// memory is the directory of the host that a container has as /dev/shm; empty: none, it has a tmpfs that nobody else
// sees.
func memory(d Donors, id string, s spec.Settings) (string, error) {
	mode := s.Sharing.IPC
	if donor, ok := spec.Donor(mode); ok {
		return donated(d, donor)
	}
	switch mode {
	case spec.ModeHost:
		return ofHost()
	case spec.ModeShareable:
		return directory(d.RunDir(id)), mountMemory(directory(d.RunDir(id)), s)
	}
	return "", nil
}

func ofHost() (string, error) {
	if !isMount(spec.SharedMemoryPath) {
		return "", fmt.Errorf("--ipc host: nothing is mounted on the host's %s: %w", spec.SharedMemoryPath, errdefs.ErrFailedPrecondition)
	}
	return spec.SharedMemoryPath, nil
}

// donated is the shared memory of the container id, if it lets others use it.
func donated(d Donors, id string) (string, error) {
	s, err := d.Settings(id)
	if err != nil {
		return "", err
	}
	mode := s.Sharing.IPC
	if next, ok := spec.Donor(mode); ok {
		return donated(d, next)
	}
	dir := directory(d.RunDir(id))
	switch {
	case mode == spec.ModeHost:
		return ofHost()
	case mode != spec.ModeShareable:
		return "", fmt.Errorf("join the ipc namespace of container %s: it is private; start that container with --ipc shareable: %w",
			id, errdefs.ErrFailedPrecondition)
	case !isMount(dir):
		return "", fmt.Errorf("join the ipc namespace of container %s: its shared memory is not mounted at %s: it has ended, or was started in another mount namespace: %w",
			id, dir, errdefs.ErrFailedPrecondition)
	}
	return dir, nil
}

func directory(runDir string) string { return filepath.Join(runDir, "shm") }

// mountMemory mounts the shared memory of a container where others find it, as long as it runs.
func mountMemory(dir string, s spec.Settings) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	m := mount.Mount{Type: "tmpfs", Source: "shm"}
	for _, option := range spec.SharedMemory(s).Options {
		key, value, _ := strings.Cut(option, "=")
		m.Options = append(m.Options, mount.Option{Key: key, Value: value})
	}
	return m.At(dir)
}

// RemoveMemory takes away the shared memory of the container that has runDir; who has joined keeps what is in it.
// Nothing there is no error.
func RemoveMemory(runDir string) error {
	dir := directory(runDir)
	if err := mount.Unmount(dir); err != nil {
		return err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// isMount tells whether something is mounted at dir itself.
func isMount(dir string) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, dir, unix.AT_SYMLINK_NOFOLLOW, 0, &st)
	return err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
