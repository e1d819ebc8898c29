package cgroup

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// setting is a value for a file of a group.
type setting struct {
	file, value string
	otherwise   *setting // where the kernel does not have the file
	optional    bool     // nothing is lost where the kernel does not have the file
}

// apply writes s in the group dir.
func (s setting) apply(dir string) error {
	err := write(dir+"/"+s.file, s.value)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOENT) && s.otherwise != nil:
		return s.otherwise.apply(dir)
	case errors.Is(err, unix.ENOENT) && s.optional:
		return nil
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("set %s/%s to %q: this kernel does not have it: %w", dir, s.file, s.value, errdefs.ErrNotImplemented)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ERANGE), errors.Is(err, unix.ENODEV), errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("set %s/%s to %q: %w: %w", dir, s.file, s.value, err, errdefs.ErrInvalidArgument)
	}
	return fmt.Errorf("set %s/%s to %q: %w", dir, s.file, s.value, err)
}

// write writes value at once. It does without os.File, which would ask the poller about each of a dozen files.
func write(file, value string) error {
	fd, err := unix.Open(file, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	for {
		_, err = unix.Write(fd, []byte(value))
		if !errors.Is(err, unix.EINTR) { // shrinking a memory limit gives up at a signal, and the Go runtime sends some
			break
		}
	}
	return errors.Join(err, unix.Close(fd))
}

// read returns the content of a file of a group without white space at its ends.
func read(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read cgroup: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
