package runtime

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/flock"
	"github.com/lrun-dev/lrun/runtime/machine"
	"github.com/lrun-dev/lrun/runtime/resolve"
)

// Store is the containers of one root directory. Any number of processes may use it at once.
type Store struct {
	root  string // containers/, names/, staging/
	state string // what a reboot takes: active/, containers/
	sync  atomicfile.Sync

	*machine.Machine
}

// Open returns the store of root (durable) and state (gone at reboot); its directories are made when
// something is written.
func Open(root, state string) *Store {
	return &Store{root: root, state: state, Machine: machine.New()}
}

// On returns a store of the same containers, for which what is known of the machine is m.
func (s *Store) On(m *machine.Machine) *Store {
	c := *s
	c.Machine = m
	return &c
}

// WithSync returns a store of the same containers that, with atomicfile.Volatile, syncs nothing, whatever its methods
// promise to be durable.
func (s *Store) WithSync(sync atomicfile.Sync) *Store {
	c := *s
	c.sync = sync
	return &c
}

// Dir is the directory of the container id: config.json, state.json and the files bound into it.
func (s *Store) Dir(id string) string { return filepath.Join(s.root, "containers", id) }

// RunDir is the directory of the container id for what lives only while it runs.
func (s *Store) RunDir(id string) string { return filepath.Join(s.state, "containers", id) }

// External is where external runtimes keep their state.
func (s *Store) External() string { return filepath.Join(s.state, "external") }

func (s *Store) names() string { return filepath.Join(s.root, "names") }

// NewID returns 64 random hexadecimal digits.
func NewID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand, Go 1.24)
	return hex.EncodeToString(b[:])
}

// Create records c under the claim of its id: its name is taken, its directory and config.json are
// written, durably unless c.Remove. A taken name is errdefs.ErrAlreadyExists.
func (s *Store) Create(claim *Claim, c Container) error {
	sync := s.sync
	if c.Remove {
		sync = atomicfile.Volatile
	}
	dir := s.Dir(claim.ID)
	if err := errors.Join(atomicfile.MakeDir(filepath.Dir(dir), 0o700, sync), os.MkdirAll(dir, 0o700)); err != nil {
		return err
	}
	if err := s.takeName(c.Name, c.ID); err != nil {
		return errors.Join(err, os.Remove(dir))
	}
	if err := resolve.Write(dir, c.Settings, sync); err != nil {
		return err
	}
	if err := atomicfile.WriteJSON(filepath.Join(dir, "config.json"), c, 0o600, sync); err != nil {
		return err
	}
	return sync.Dir(filepath.Dir(dir))
}

// Get reads the record of the container with exactly this id. None is errdefs.ErrNotFound, one that
// is damaged errdefs.ErrDataLoss, with a Container that has its id alone.
func (s *Store) Get(id string) (Container, error) {
	var c Container
	path := filepath.Join(s.Dir(id), "config.json")
	err := atomicfile.ReadJSON(path, &c)
	if errors.Is(err, fs.ErrNotExist) || err != nil && atomicfile.CutOff(path) { // one with --rm went with the machine
		return c, notFound(id)
	}
	if err == nil && c.ID != id {
		err = fmt.Errorf("record %q is that of the container %q: %w", path, c.ID, errdefs.ErrDataLoss)
	}
	if err != nil {
		c = Container{ID: id}
	}
	return c, err
}

// present is Get, except that a container which the next sweep deletes is not found any more: one with --rm whose lrun
// was killed, and its program with it.
func (s *Store) present(id string) (Container, error) {
	c, err := s.Get(id)
	if err == nil && c.Remove && s.Abandoned(id) {
		return Container{}, notFound(id)
	}
	return c, err
}

// Abandoned tells whether nobody is going to remove a container with --rm, and it does not run. One that was created
// and never started is in nobody's hands but the user's.
func (s *Store) Abandoned(id string) bool {
	lock, err := flock.TryExclusive(s.claimPath(id))
	if err == nil {
		err = lock.Unlock() // the file stays, for the sweep
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	st, stErr := s.recorded(id)
	if stErr != nil || alive(st) {
		return false
	}
	return err == nil || st.Status != Created || !s.Swept() // the first sweep after a boot removes it
}

// Resolve finds a container by its name, its id or a prefix of the id that no other has.
func (s *Store) Resolve(name string) (Container, error) {
	if id, _ := s.holder(name); id != "" {
		if c, err := s.present(id); err == nil || !errors.Is(err, errdefs.ErrNotFound) {
			return c, err
		}
	}
	if name == "" || strings.Trim(name, "0123456789abcdef") != "" {
		return Container{}, notFound(name)
	}
	ids, err := s.ids()
	if err != nil {
		return Container{}, err
	}
	var found []string
	for _, id := range ids {
		if strings.HasPrefix(id, name) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return Container{}, notFound(name)
	case 1:
		return s.present(found[0])
	default:
		return Container{}, fmt.Errorf("container %q: %d containers have an id that begins so; give more digits: %w", name, len(found), errdefs.ErrInvalidArgument)
	}
}

// List returns every container that is completely recorded, in no order. One that vanishes meanwhile
// is left out, and so is one with --rm whose lrun was killed; records that cannot be read are joined into the error beside the others.
func (s *Store) List() ([]Container, error) {
	ids, err := s.ids()
	if err != nil {
		return nil, err
	}
	list := make([]Container, 0, len(ids))
	var errs []error
	for _, id := range ids {
		c, err := s.present(id)
		switch {
		case err == nil:
			list = append(list, c)
		case !errors.Is(err, errdefs.ErrNotFound):
			errs = append(errs, err)
		}
	}
	return list, errors.Join(errs...)
}

func (s *Store) ids() ([]string, error) {
	return readNames(filepath.Join(s.root, "containers"))
}

// readNames lists a directory; one that is not there is empty.
func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	return names, errors.Join(err, f.Close())
}

func notFound(name string) error {
	return fmt.Errorf("container %q: no such container: %w", name, errdefs.ErrNotFound)
}
