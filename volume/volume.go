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
	"strings"
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

// unlisted is the directory of a volume that is being made or removed. Its name says whose it is, so
// that RemoveOf finds what a killed process left.
func (s *Store) unlisted(container, name string) string {
	return filepath.Join(s.dir, "."+container+"-"+name)
}

// Create makes an empty volume for a container. Its record is there before its directory is used; it
// is not durable before the container's own record is, for without that it is an orphan.
func (s *Store) Create(container string) (Volume, error) {
	var id [32]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand, Go 1.24)
	v := Volume{Name: hex.EncodeToString(id[:]), Created: time.Now().UTC(), Container: container}
	dir := s.unlisted(container, v.Name)
	if err := os.MkdirAll(filepath.Join(dir, "_data"), 0o700); err != nil {
		return v, err
	}
	err := os.Chmod(filepath.Join(dir, "_data"), 0o755)
	if err == nil {
		err = atomicfile.WriteJSON(filepath.Join(dir, "volume.json"), v, 0o600, atomicfile.Volatile)
	}
	if err == nil {
		err = os.Rename(dir, filepath.Join(s.dir, v.Name))
	}
	return v, err
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
		if name, ok := strings.CutPrefix(e.Name(), "."+container+"-"); ok {
			errs = append(errs, s.remove(container, name))
			continue
		}
		dir := filepath.Join(s.dir, e.Name())
		err := atomicfile.ReadJSON(filepath.Join(dir, "volume.json"), &v)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && v.Container == container {
			err = errors.Join(os.Rename(dir, s.unlisted(container, e.Name())), s.remove(container, e.Name()))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// remove deletes the files of an unlisted volume.
func (s *Store) remove(container, name string) error {
	if err := os.RemoveAll(s.unlisted(container, name)); err != nil {
		return fmt.Errorf("remove volume %s: %w", name, err)
	}
	return nil
}
