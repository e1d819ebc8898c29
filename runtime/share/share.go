// Package share opens what a container shares with the host or with other containers: namespaces and shared memory.
package share

import (
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// Donors are the containers that there are.
type Donors interface {
	// Settings returns those of the container id; none is errdefs.ErrNotFound.
	Settings(id string) (spec.Settings, error)
	// First returns the recorded first process of the container id, 0 when it does not run, and a function that
	// tells whether that process is still the one that was recorded.
	First(id string) (pid int, alive func() bool, err error)
	// RunDir is the directory of the container id for what lives only while it runs.
	RunDir(id string) string
}

// Joined is what a container shares, held open from before its first process is made until its program runs.
type Joined struct {
	Paths spec.Joined
	// Memory is a directory of the host that becomes /dev/shm; empty: none.
	Memory string

	files []*os.File
}

// Close lets go of the namespaces. It may be called again.
func (j *Joined) Close() error {
	var errs []error
	for _, f := range j.files {
		errs = append(errs, f.Close())
	}
	j.files = nil
	return errors.Join(errs...)
}

// Open opens the namespaces of other containers that the container id with settings s is to share, and finds or makes
// its shared memory. A container that is asked for and does not run, or does not share, is
// errdefs.ErrFailedPrecondition.
func Open(d Donors, id string, s spec.Settings) (j Joined, err error) {
	if s.Sharing == (spec.Sharing{}) {
		return j, nil
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.Close())
		}
	}()
	j.Paths = spec.Joined{}
	for _, ns := range []struct {
		kind       specs.LinuxNamespaceType
		mode, file string
	}{
		{specs.PIDNamespace, s.Sharing.PID, "pid"}, {specs.IPCNamespace, s.Sharing.IPC, "ipc"}, {specs.NetworkNamespace, s.Sharing.Network, "net"},
	} {
		donor, ok := spec.Donor(ns.mode)
		if !ok {
			continue
		}
		f, err := namespace(d, donor, ns.file)
		if err != nil {
			return j, fmt.Errorf("join the %s namespace of container %s: %w", ns.kind, donor, err)
		}
		j.files = append(j.files, f)
		j.Paths[ns.kind] = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd())
	}
	j.Memory, err = memory(d, id, s)
	return j, err
}

// namespace opens a namespace of the first process of a running container, and never of another process that has its
// number by now: that process is alive before and after, so the number was its own all the time.
func namespace(d Donors, id, file string) (*os.File, error) {
	if _, err := d.Settings(id); err != nil { // what is gone has no state
		return nil, err
	}
	pid, alive, err := d.First(id)
	if err != nil {
		return nil, err
	}
	notRunning := fmt.Errorf("it is not running; start it first: %w", errdefs.ErrFailedPrecondition)
	if pid <= 0 {
		return nil, notRunning
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil, notRunning
	}
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if !alive() { // the descriptor may be of a process that took the number before it was opened
		return nil, notRunning
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, file))
	if err != nil {
		return nil, err
	}
	if err := unix.PidfdSendSignal(fd, 0, nil, 0); err != nil {
		return nil, errors.Join(notRunning, f.Close())
	}
	return f, nil
}
