package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/runtime/launch"
	"github.com/lrun-dev/lrun/runtime/share"
)

// Finish is called after Wait: it frees what the container had while it ran and records how it ended.
// The claim stays the caller's.
func (a *Active) Finish(ctx context.Context, code int) error {
	st := a.started
	st.Status, st.ExitCode, st.Pid, st.PidStart, st.LrunPid, st.FinishedAt = Exited, code, 0, 0, 0, time.Now().UTC()
	oom, err := a.group.OOMKilled()
	st.OOMKilled, a.oomKilled = oom, oom
	errs := []error{err, a.release(ctx)}
	if a.c.Remove {
		errs = append(errs, a.store.dropRecord(a.c.ID), os.RemoveAll(a.store.Dir(a.c.ID)))
	} else {
		errs = append(errs, a.store.writeState(a.c.ID, st, atomicfile.Durable))
	}
	return errors.Join(errs...)
}

// OOMKilled says, after Finish, whether the kernel has killed a process of the container because it was out of memory.
func (a *Active) OOMKilled() bool { return a.oomKilled }

// Kill sends SIGKILL to every process of the container's cgroup, however fast it forks, and to its first process
// wherever somebody has moved it, if its state can be read: all that are left in its PID namespace die with that. A container that is
// gone has none.
func (s *Store) Kill(id string) error {
	group, err := s.group(id)
	if err != nil {
		return err
	}
	killed := group.Kill()
	signalled := s.Signal(id, syscall.SIGKILL)
	for _, not := range []error{errdefs.ErrFailedPrecondition, errdefs.ErrDataLoss, errdefs.ErrNotFound} {
		signalled = ignore(signalled, not)
	}
	return errors.Join(killed, signalled)
}

// Signal sends a signal to the first process of the container id, never to another that has its number
// by now. A container that does not run is errdefs.ErrFailedPrecondition.
func (s *Store) Signal(id string, signal syscall.Signal) error {
	st, err := s.State(id)
	if err != nil {
		return err
	}
	notRunning := fmt.Errorf("container %s is not running: %w", short(id), errdefs.ErrFailedPrecondition)
	if st.Status != Running {
		return notRunning
	}
	fd, err := unix.PidfdOpen(st.Pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return notRunning
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", st.Pid, err)
	}
	defer unix.Close(fd)
	if !alive(st) { // the descriptor may be of a process that took the number before it was opened
		return notRunning
	}
	return unix.PidfdSendSignal(fd, signal, nil, 0)
}

// Delete removes the record, the name and the directories of a container that does not run. release is
// called between: it frees what the container has outside this package, by its id alone (there may be
// no readable record, and then what only that names stays). The caller holds the claim. What is gone already is no error.
func (s *Store) Delete(ctx context.Context, id string, release func(context.Context, string) error) error {
	c, err := s.Get(id)
	if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsDataLoss(err) {
		return err
	}
	c.ID = id
	if err := s.removeCgroup(id); err != nil {
		return err
	}
	// While the record still says with which runtime it was started.
	if err := s.removeRunDir(ctx, c); err != nil {
		return err
	}
	if err := s.deleteRecord(ctx, c, release); err != nil {
		return err
	}
	return os.RemoveAll(s.Dir(c.ID))
}

// DeleteEnded is Delete for a container that has just ended and whose Finish frees the rest, with the directory of the
// record, at the same time. Should either come to an end alone, the claim tells the sweep what is left to do.
func (s *Store) DeleteEnded(ctx context.Context, c Container, release func(context.Context, string) error) error {
	return s.deleteRecord(ctx, c, release)
}

// deleteRecord removes the record before all that it names: until then the container is whole, and without it what is
// there are orphans, which the sweep finds. A c without a name had no record.
func (s *Store) deleteRecord(ctx context.Context, c Container, release func(context.Context, string) error) error {
	if err := s.dropRecord(c.ID); err != nil {
		return err
	}
	if c.Name != "" && !c.Remove { // else it would be there again after a power loss, and what it names gone
		if err := s.sync.Dir(s.Dir(c.ID)); err != nil {
			return err
		}
	}
	drop := func() error { return s.dropName(c.Name, c.ID) }
	if c.Name == "" {
		drop = func() error { return s.dropNamesOf(c.ID) }
	}
	if err := drop(); err != nil {
		return err
	}
	if err := release(ctx, c.ID); err != nil {
		return fmt.Errorf("release the root of container %s: %w", short(c.ID), err)
	}
	return s.dropIDs(c)
}

func (s *Store) dropRecord(id string) error {
	return ignore(os.Remove(filepath.Join(s.Dir(id), "config.json")), fs.ErrNotExist)
}

func (s *Store) removeCgroup(id string) error {
	group, err := s.group(id)
	if err != nil {
		return err
	}
	return group.End()
}

func (s *Store) removeRunDir(ctx context.Context, c Container) error {
	if c.Runtime != "" {
		if err := launch.DeleteExternal(ctx, c.Runtime, c.ID, s.External(), s.RunDir(c.ID)); err != nil {
			return err
		}
	}
	// Never recursively: had something been mounted below, its files would go.
	err := os.Remove(s.RunDir(c.ID))
	if errors.Is(err, unix.ENOTEMPTY) {
		if err := share.RemoveMemory(s.RunDir(c.ID)); err != nil {
			return err
		}
		err = os.Remove(s.RunDir(c.ID))
	}
	return ignore(err, fs.ErrNotExist)
}
