package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/runtime/name"
)

// takeName records name as id's. Names are kept in files of their own so that finding one does not read every container;
// they are not durable: the sweep after a boot makes them anew from the records.
func (s *Store) takeName(name, id string) (err error) {
	dir := s.names()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	lock, err := flock.Exclusive(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	path := filepath.Join(dir, name)
	err = atomicfile.Create(path, []byte(id), 0o600, atomicfile.Volatile)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	holder, _ := s.holder(name)
	if _, err := os.Lstat(s.Dir(holder)); holder == "" || errors.Is(err, fs.ErrNotExist) {
		return atomicfile.Write(path, []byte(id), 0o600, atomicfile.Volatile) // of a container that is gone
	}
	return fmt.Errorf("container name %q is taken by %s; remove that container (lrun rm %s) or choose another name: %w",
		name, short(holder), name, errdefs.ErrAlreadyExists)
}

// dropName frees the name if it is id's.
func (s *Store) dropName(name, id string) error {
	lock, err := flock.Exclusive(s.names())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if holder, _ := s.holder(name); holder == id {
		err = os.Remove(filepath.Join(s.names(), name))
	}
	return errors.Join(err, lock.Unlock())
}

// holder returns the id of the container that has the name; of a name that a power loss has left without its content, which
// nobody waits for, "".
func (s *Store) holder(of string) (string, bool) {
	if name.Check(of) != nil {
		return "", false
	}
	b, err := os.ReadFile(filepath.Join(s.names(), of))
	if err != nil || !name.IsID(string(b)) {
		return "", err == nil
	}
	return string(b), true
}

// dropNamesOf frees what names a container that has no record, and removes names that were never completely written. It
// reads every name.
func (s *Store) dropNamesOf(id string) error {
	if err := os.MkdirAll(s.names(), 0o700); err != nil {
		return err
	}
	lock, err := flock.Exclusive(s.names())
	if err != nil {
		return err
	}
	names, err := readNames(s.names())
	errs := []error{err}
	for _, name := range names {
		if holder, ok := s.holder(name); ok && (holder == id || holder == "") || atomicfile.IsTemp(name) {
			errs = append(errs, os.Remove(filepath.Join(s.names(), name)))
		}
	}
	return errors.Join(append(errs, lock.Unlock())...)
}

// RandomName returns a name of two words that no container has.
func (s *Store) RandomName() string {
	return name.Random(func(n string) bool { _, taken := s.holder(n); return taken })
}

func short(id string) string { return id[:min(len(id), 12)] }
