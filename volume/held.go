package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/internal/tree"
)

// Held is a volume that nobody else can hold until Close.
type Held struct {
	Volume

	store *Store
	lock  *flock.Lock
}

// Hold waits until nobody else holds the volume name. None is errdefs.ErrNotFound.
func (s *Store) Hold(name string) (*Held, error) {
	if _, err := s.Get(name); err != nil { // else a lock would be made of nothing
		return nil, err
	}
	lock, err := flock.Exclusive(filepath.Join(s.dir, name, "lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound(name)
	}
	if err != nil {
		return nil, err
	}
	v, err := s.Get(name)
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return &Held{Volume: v, store: s, lock: lock}, nil
}

// Close lets go of the volume. A second call does nothing.
func (h *Held) Close() error {
	lock := h.lock
	h.lock = nil
	if lock == nil {
		return nil
	}
	return lock.Unlock()
}

// Remove deletes the volume and all its files, but nothing of a Device, and lets go of it.
func (h *Held) Remove(ctx context.Context) error {
	gone := filepath.Join(h.store.dir, gonePrefix+NewName())
	err := os.Rename(filepath.Join(h.store.dir, h.Name), gone)
	if err == nil {
		err = h.store.sync.Dir(h.store.dir)
	}
	if err == nil {
		err = tree.Remove(ctx, gone)
	}
	if err = errors.Join(err, h.Close()); err != nil {
		return fmt.Errorf("remove volume %s: %w", h.Name, err)
	}
	return nil
}

// Fill calls fill with the volume's directory if that is empty, or if an earlier fill did not come to its end.
// Afterwards the content is durable, unless it need not be.
func (h *Held) Fill(durable atomicfile.Sync, fill func(dir *os.File) error) (err error) {
	durable = durable.At(h.store.sync)
	dir, err := os.Open(h.store.Path(h.Volume))
	if err != nil {
		return fmt.Errorf("fill volume %s: %w", h.Name, err)
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	mark := filepath.Join(h.store.dir, h.Name, "filling")
	if _, err := os.Lstat(mark); err != nil {
		names, err := dir.Readdirnames(1)
		if len(names) > 0 || !errors.Is(err, io.EOF) {
			return err
		}
		if err := atomicfile.Write(mark, nil, 0o600, durable); err != nil {
			return err
		}
		if _, err := dir.Seek(0, 0); err != nil {
			return err
		}
	}
	if err := fill(dir); err != nil {
		return fmt.Errorf("fill volume %s: %w", h.Name, err)
	}
	if err := durable.Filesystem(dir.Name()); err != nil {
		return fmt.Errorf("fill volume %s: %w", h.Name, err)
	}
	return os.Remove(mark)
}
