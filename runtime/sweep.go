package runtime

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/runtime/cgroup"
	"github.com/lrun-dev/lrun/runtime/hold"
	"github.com/lrun-dev/lrun/runtime/launch/program"
)

// Sweep puts right what killed processes left: containers that nobody watches any more are killed and
// recorded as exited, those with --rm and those half made are deleted. release is Delete's. The first
// sweep after a boot looks at every container, later ones only at those with an abandoned claim, so
// that a run costs no more with a thousand stopped containers beside it.
func (s *Store) Sweep(ctx context.Context, release func(context.Context, string) error) error {
	abandoned, err := readNames(filepath.Join(s.state, "active"))
	if err != nil {
		return err
	}
	errs := []error{s.sweepAfterBoot(ctx, release), hold.Sweep(s.state, s.group)}
	for _, id := range abandoned {
		errs = append(errs, s.recoverAbandoned(ctx, id, release))
	}
	return errors.Join(errs...)
}

func (s *Store) sweepAfterBoot(ctx context.Context, release func(context.Context, string) error) error {
	if s.Swept() {
		return nil
	}
	ids, err := s.ids()
	if err != nil || s.Swept() { // by another process, and then some of ids may have been created since
		return err
	}
	var errs []error
	for _, id := range ids {
		errs = append(errs, s.recoverUnwatched(ctx, id, release))
		if c, err := s.Get(id); err == nil {
			errs = append(errs, ignore(s.takeName(c.Name, id), errdefs.ErrAlreadyExists), s.retakeIDs(c))
		}
	}
	errs = append(errs, s.dropLostIDs())
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := os.MkdirAll(s.state, 0o700); err != nil {
		return err
	}
	return os.WriteFile(s.swept(), nil, 0o600)
}

func (s *Store) swept() string { return filepath.Join(s.state, "swept") }

// Swept tells whether the first sweep of this boot has been. Before it, only Suspect tells the sweep of containers that have
// no directory.
func (s *Store) Swept() bool {
	_, err := os.Lstat(s.swept())
	return err == nil
}

// recoverUnwatched is recoverAbandoned of a container that may have no claim. It never waits: who has the claim may be
// this process, or run the container until tomorrow.
func (s *Store) recoverUnwatched(ctx context.Context, id string, release func(context.Context, string) error) error {
	return errors.Join(s.mark(id), s.recoverAbandoned(ctx, id, release))
}

// Suspect has the next sweep look at the container id, of which something may be left, unless it has a directory or somebody has
// it in his hands.
func (s *Store) Suspect(id string) error {
	if !s.homeless(id) {
		return nil
	}
	return s.mark(id)
}

// homeless tells that the container id has no directory and that nobody is making one. Who makes it gives the claim up when the
// directory is there, so the claim is asked for first.
func (s *Store) homeless(id string) bool {
	if s.Watched(id) {
		return false
	}
	_, err := os.Lstat(s.Dir(id))
	return errors.Is(err, fs.ErrNotExist)
}

// mark leaves a claim of the container id in nobody's hands, unless there is one.
func (s *Store) mark(id string) error {
	path := s.claimPath(id)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func (s *Store) recoverAbandoned(ctx context.Context, id string, release func(context.Context, string) error) error {
	claim, err := s.tryClaim(id)
	if errors.Is(err, flock.ErrBusy) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return claim.Done(s.putRight(ctx, id, release))
}

// putRight works on a container whose claim we hold, so that nobody else watches it. One whose record or state cannot be read stays
// as it is, and in nobody's way: `lrun fsck` tells of it.
func (s *Store) putRight(ctx context.Context, id string, release func(context.Context, string) error) error {
	c, err := s.Get(id)
	if err != nil && !errdefs.IsNotFound(err) {
		return ignore(err, errdefs.ErrDataLoss)
	}
	recorded, stErr := s.recorded(id)
	if err == nil && stErr == nil && recorded.Status == Running && supervised(recorded) {
		return nil // somebody has deleted the claim of who runs it, with the state directory
	}
	if c.Runtime != "" {
		if err := program.EndLeft(id, s.External()); err != nil {
			return err
		}
	}
	if errdefs.IsNotFound(err) || c.Remove {
		return s.Delete(ctx, id, release)
	}
	if stErr != nil {
		return ignore(stErr, errdefs.ErrDataLoss)
	}
	// Also of one that is not recorded as running: its lrun may have been killed while it started.
	errs := []error{s.removeCgroup(id), s.removeRunDir(ctx, c)}
	if recorded.Status == Running && !alive(recorded) {
		errs = append(errs, s.writeState(id, lost(recorded), atomicfile.Durable))
	}
	return errors.Join(errs...)
}

func ignore(err, class error) error {
	if errors.Is(err, class) {
		return nil
	}
	return err
}

// Freeze keeps a running container still until thaw is called. One that does not run is left alone, and thaw does nothing.
func (s *Store) Freeze(id string) (thaw func() error, err error) {
	st, err := s.State(id)
	if err != nil || st.Status != Running {
		return func() error { return nil }, err
	}
	return hold.Freeze(s.state, id, s.group)
}

func (s *Store) group(id string) (*cgroup.Group, error) {
	hierarchy, err := s.Cgroups()
	if err != nil {
		return nil, err
	}
	return hierarchy.Open(cgroupPath(id))
}
