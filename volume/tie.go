package volume

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/tree"
)

// tie is the empty file that ties a volume to a container.
func (s *Store) tie(name, container string) string {
	return filepath.Join(s.dir, tiePrefix+container+"-"+name)
}

// Tie makes the volume name go with a container: RemoveOf takes it away, unless somebody else uses it.
func (s *Store) Tie(name, container string) error {
	return os.WriteFile(s.tie(name, container), nil, 0o600)
}

// Untie lets the volumes of a container stay when that is removed.
func (s *Store) Untie(ctx context.Context, container string) error {
	names, err := s.tied(ctx, container)
	errs := []error{err}
	for _, name := range names {
		errs = append(errs, removeFile(s.tie(name, container)))
	}
	return errors.Join(errs...)
}

// tied lists the volumes of a container. It reads names only, so that the end of a container costs no more with a
// thousand volumes beside it. It takes away what killed processes left.
func (s *Store) tied(ctx context.Context, container string) ([]string, error) {
	f, err := os.Open(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries, err := f.Readdirnames(-1)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	var names []string
	unlisted := false
	for _, e := range entries {
		if name, ok := strings.CutPrefix(e, tiePrefix+container+"-"); ok {
			names = append(names, name)
		}
		unlisted = unlisted || strings.HasPrefix(e, newPrefix) || strings.HasPrefix(e, gonePrefix)
	}
	if unlisted {
		err = s.locked(func() error { return s.sweep(ctx) })
	}
	return names, err
}

// Tied lists the containers that volumes are tied to, one as often as there are such volumes.
func (s *Store) Tied() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var ids []string
	for _, e := range entries {
		if rest, ok := strings.CutPrefix(e.Name(), tiePrefix); ok {
			id, _, _ := strings.Cut(rest, "-")
			ids = append(ids, id)
		}
	}
	return ids, err
}

// RemoveOf removes the volumes that are tied to a container, but those that inUse says others use.
func (s *Store) RemoveOf(ctx context.Context, container string, inUse func(name string) (bool, error)) error {
	names, err := s.tied(ctx, container)
	errs := []error{err}
	for _, name := range names {
		err := s.removeTied(ctx, name, inUse)
		if err == nil {
			err = removeFile(s.tie(name, container))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s *Store) removeTied(ctx context.Context, name string, inUse func(name string) (bool, error)) error {
	h, err := s.Hold(name)
	if errors.Is(err, errdefs.ErrNotFound) {
		return s.removeUnsynced(ctx, name)
	}
	if err != nil {
		return err
	}
	if used, err := inUse(name); used || err != nil {
		return errors.Join(err, h.Close())
	}
	return h.Remove(ctx)
}

// removeUnsynced deletes what a power loss has left of the volume name, if it was volatile.
func (s *Store) removeUnsynced(ctx context.Context, name string) error {
	return s.locked(func() error {
		if _, err := s.recorded(name); !errors.Is(err, errUnsynced) {
			return nil
		}
		gone := filepath.Join(s.dir, gonePrefix+NewName())
		if err := os.Rename(filepath.Join(s.dir, name), gone); err != nil {
			return err
		}
		return tree.Remove(ctx, gone)
	})
}

// sweep deletes what is not a volume: who made it is dead, for the store is locked, and who deletes may be helped.
func (s *Store) sweep(ctx context.Context) error {
	entries, err := os.ReadDir(s.dir)
	errs := []error{err}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), newPrefix) || strings.HasPrefix(e.Name(), gonePrefix) {
			errs = append(errs, tree.Remove(ctx, filepath.Join(s.dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

func removeFile(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
