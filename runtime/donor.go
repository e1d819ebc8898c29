package runtime

import (
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime/share"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// donors are the containers whose namespaces others may join.
type donors struct{ *Store }

var _ share.Donors = donors{}

// Settings implements share.Donors.
func (d donors) Settings(id string) (spec.Settings, error) {
	c, err := d.Get(id)
	return c.Settings, err
}

// First implements share.Donors.
func (d donors) First(id string) (pid int, same func() bool, err error) {
	st, err := d.State(id)
	if err != nil || st.Status != Running {
		return 0, nil, err
	}
	return st.Pid, func() bool { return alive(st) }, nil
}

// ResolveDonors replaces the names of containers in c's modes of namespaces by their ids. A container that shares
// another's network has its host name, too. None of that name is errdefs.ErrNotFound.
func (s *Store) ResolveDonors(c *Container) error {
	sharing := &c.Settings.Sharing
	for _, mode := range []*string{&sharing.PID, &sharing.IPC, &sharing.Network} {
		name, ok := spec.Donor(*mode)
		if !ok {
			continue
		}
		donor, err := s.Resolve(name)
		if err != nil {
			return fmt.Errorf("share a namespace: %w", err)
		}
		*mode = spec.DonorMode(donor.ID)
		if mode == &sharing.Network {
			c.Network, c.Settings.Hostname = *mode, donor.Settings.Hostname
		}
	}
	return nil
}

// abandonMemory takes away the shared memory of a container that was not started after all.
func (s *Store) abandonMemory(c Container) error {
	if c.Settings.Sharing.IPC != spec.ModeShareable {
		return nil
	}
	if err := share.RemoveMemory(s.RunDir(c.ID)); err != nil {
		return err
	}
	return ignore(ignore(os.Remove(s.RunDir(c.ID)), fs.ErrNotExist), unix.ENOTEMPTY)
}
