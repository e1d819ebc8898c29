package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/flock"
)

// CheckName refuses what Docker refuses as a container's name: it begins with a letter or a digit,
// then follow letters, digits, '_', '.' and '-', two characters at least.
func CheckName(name string) error {
	valid := len(name) >= 2 && len(name) <= 255
	for i, r := range name {
		alphanumeric := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !alphanumeric && (i == 0 || !strings.ContainsRune("_.-", r)) {
			valid = false
		}
	}
	if !valid {
		return fmt.Errorf("container name %q: only [a-zA-Z0-9][a-zA-Z0-9_.-]+ is allowed: %w", name, errdefs.ErrInvalidArgument)
	}
	return nil
}

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

// holder returns the id of the container that has the name.
func (s *Store) holder(name string) (string, bool) {
	if CheckName(name) != nil {
		return "", false
	}
	b, err := os.ReadFile(filepath.Join(s.names(), name))
	return string(b), err == nil
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
		if holder, _ := s.holder(name); holder == id || atomicfile.IsTemp(name) {
			errs = append(errs, os.Remove(filepath.Join(s.names(), name)))
		}
	}
	return errors.Join(append(errs, lock.Unlock())...)
}

// RandomName returns a name of two words that no container has.
func (s *Store) RandomName() string {
	left := strings.Fields("amber bold brave bright calm clear cosy crisp eager early fair fine fleet fond fresh gentle glad golden grand green happy hardy honest jolly keen kind late light lively lucky mellow merry mild neat noble patient plain proud quick quiet rapid rare ready round sharp silent simple sleek smooth solid spry steady still strong sunny swift tidy vivid warm wise witty young")
	right := strings.Fields("acorn anchor aspen badger beacon birch bison brook canyon cedar cliff comet coral crane creek dune eagle ember falcon fern finch fjord forest fox garnet glacier grove harbor hawk hazel heron island ivy jay juniper lagoon lake lark lynx maple marsh meadow meteor moss oak orchid otter owl pebble pine plover quartz quill raven reef ridge river robin sparrow spruce stone swan thicket tiger trout valley willow wren")
	for {
		name := left[rand.IntN(len(left))] + "_" + right[rand.IntN(len(right))]
		if _, taken := s.holder(name); !taken {
			return name
		}
		if suffixed := name + "_" + NewID()[:6]; rand.IntN(8) == 0 {
			return suffixed
		}
	}
}

func short(id string) string { return id[:min(len(id), 12)] }
