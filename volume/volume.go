// Package volume keeps directories that outlive the writable layer of a container.
//
// So far there are anonymous volumes only: each belongs to one container and goes with it.
package volume

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/lrun-dev/lrun/internal/atomicfile"
)

// Volume is the record of one volume, its volume.json.
type Volume struct {
	Name      string    `json:"name"` // 64 hexadecimal digits
	Created   time.Time `json:"created"`
	Container string    `json:"container"` // the id of the container that it goes with
}

// Store keeps volumes below one directory. It needs no lock: a volume has one owner.
type Store struct{ dir string }

// Open returns the store in dir, which is made with the first volume.
func Open(dir string) *Store { return &Store{dir: dir} }

// Path is where the files of the volume lie.
func (s *Store) Path(name string) string { return filepath.Join(s.dir, name, "_data") }

// Create makes an empty volume for a container. Its record is there before its directory is used; it
// is not durable before the container's own record is, for without that it is an orphan.
func (s *Store) Create(container string) (Volume, error) {
	var id [32]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand, Go 1.24)
	v := Volume{Name: hex.EncodeToString(id[:]), Created: time.Now().UTC(), Container: container}
	if err := os.MkdirAll(filepath.Join(s.dir, v.Name), 0o700); err != nil {
		return v, err
	}
	if err := atomicfile.WriteJSON(filepath.Join(s.dir, v.Name, "volume.json"), v, 0o600, atomicfile.Volatile); err != nil {
		return v, err
	}
	return v, os.Mkdir(s.Path(v.Name), 0o755)
}

// RemoveOf removes every volume of a container, and of nobody else. It reads the record of each volume.
func (s *Store) RemoveOf(container string) error {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		var v Volume
		dir := filepath.Join(s.dir, e.Name())
		err := atomicfile.ReadJSON(filepath.Join(dir, "volume.json"), &v)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && v.Container == container {
			err = remove(dir)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// remove deletes the files before the record, so that a volume half removed is found again.
func remove(dir string) error {
	if err := os.RemoveAll(filepath.Join(dir, "_data")); err != nil {
		return fmt.Errorf("remove volume %s: %w", filepath.Base(dir), err)
	}
	return os.RemoveAll(dir)
}
