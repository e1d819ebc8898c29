// Package volume keeps directories that outlive the containers that use them.
//
// Any number of processes use one store at once. A volume is held, by the lock of its own, while it is made, filled,
// given to a container or removed; who holds several takes them in the order of their names. What a killed process
// leaves is unlisted, and the next that makes or removes a volume takes it away.
package volume

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/flock"
)

// AnonymousLabel marks a volume that nobody gave a name, as Docker does.
const AnonymousLabel = "com.docker.volume.anonymous"

// Volume is the record of one volume, its volume.json. It never changes.
type Volume struct {
	Name    string            `json:"name"`
	Created time.Time         `json:"created"`
	Labels  map[string]string `json:"labels,omitempty"`
	Options map[string]string `json:"options,omitempty"` // none, or those of a bind: type, o, device
}

// Anonymous tells whether nobody gave the volume its name.
func (v Volume) Anonymous() bool {
	_, ok := v.Labels[AnonymousLabel]
	return ok
}

// Device is the directory that the volume shows in place of one of its own; empty: none.
func (v Volume) Device() string { return v.Options["device"] }

// Store keeps volumes below one directory.
type Store struct {
	dir  string
	sync atomicfile.Sync
}

// Open returns the store in dir, which is made with the first volume.
func Open(dir string) *Store { return &Store{dir: dir} }

// WithSync returns a store of the same volumes that, with atomicfile.Volatile, syncs nothing, whatever its methods
// promise to be durable.
func (s *Store) WithSync(sync atomicfile.Sync) *Store { return &Store{dir: s.dir, sync: sync} }

// The names of what is not a volume (yet, or any more) begin so; a volume's never begins with a dot.
const (
	newPrefix  = ".new-"
	gonePrefix = ".gone-"
	tiePrefix  = ".of-"
)

// CheckName refuses what Docker refuses as a volume's name.
func CheckName(name string) error {
	valid := len(name) >= 2 && len(name) <= 255
	for i, r := range name {
		alphanumeric := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !alphanumeric && (i == 0 || !strings.ContainsRune("_.-", r)) {
			valid = false
		}
	}
	if !valid {
		return fmt.Errorf("volume name %q: only [a-zA-Z0-9][a-zA-Z0-9_.-]+ is allowed; for a directory of the host give an absolute path: %w",
			name, errdefs.ErrInvalidArgument)
	}
	return nil
}

// NewName returns 64 random hexadecimal digits, the name of an anonymous volume.
func NewName() string {
	var id [32]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand, Go 1.24)
	return hex.EncodeToString(id[:])
}

// Path is where the files of a volume lie.
func (s *Store) Path(v Volume) string {
	if device := v.Device(); device != "" {
		return device
	}
	return filepath.Join(s.dir, v.Name, "_data")
}

func (s *Store) record(name string) string { return filepath.Join(s.dir, name, "volume.json") }

// Get reads the record of a volume. None is errdefs.ErrNotFound, one that is damaged errdefs.ErrDataLoss.
func (s *Store) Get(name string) (Volume, error) {
	var v Volume
	if CheckName(name) != nil {
		return v, notFound(name)
	}
	err := atomicfile.ReadJSON(s.record(name), &v)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || err != nil && len(name) == len(NewName()) && atomicfile.CutOff(s.record(name)) {
		return v, notFound(name) // or it has a name that nobody gave: it was volatile, and went with the machine
	}
	return v, err
}

// List returns all volumes in the order of their names. One that vanishes meanwhile is left out; records that cannot
// be read are joined into the error beside the others.
func (s *Store) List() ([]Volume, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	errs := []error{err}
	var list []Volume
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		v, err := s.Get(e.Name())
		switch {
		case err == nil:
			list = append(list, v)
		case !errors.Is(err, errdefs.ErrNotFound):
			errs = append(errs, err)
		}
	}
	return list, errors.Join(errs...)
}

func notFound(name string) error {
	return fmt.Errorf("volume %q: no such volume: %w", name, errdefs.ErrNotFound)
}

// Options are what a new volume is made with.
type Options struct {
	Labels  map[string]string
	Options map[string]string // checked by CheckOptions
	// Container is one that the volume is tied to: see Tie.
	Container string
	// Volatile makes a volume that need not survive a power loss.
	Volatile bool
}

// Create makes an empty volume and holds it. A name that is taken is errdefs.ErrAlreadyExists.
func (s *Store) Create(ctx context.Context, name string, o Options) (h *Held, err error) {
	if err := errors.Join(CheckName(name), CheckOptions(o.Options)); err != nil {
		return nil, err
	}
	if err := atomicfile.MakeDir(s.dir, 0o700, s.sync); err != nil {
		return nil, err
	}
	err = s.locked(func() error {
		if err := s.sweep(ctx); err != nil {
			return err
		}
		h, err = s.create(name, o)
		return err
	})
	return h, err
}

// create makes a volume unlisted and gives it its name when it is whole. The store is locked.
func (s *Store) create(name string, o Options) (h *Held, err error) {
	if _, err := os.Lstat(filepath.Join(s.dir, name)); err == nil {
		return nil, fmt.Errorf("volume %q is there already: %w", name, errdefs.ErrAlreadyExists)
	}
	dir := filepath.Join(s.dir, newPrefix+name)
	if err := os.MkdirAll(filepath.Join(dir, "_data"), 0o700); err != nil {
		return nil, err
	}
	h = &Held{Volume: Volume{Name: name, Created: time.Now().UTC(), Labels: maps.Clone(o.Labels), Options: maps.Clone(o.Options)}, store: s}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close(), os.RemoveAll(dir))
		}
	}()
	sync := s.sync
	if o.Volatile {
		sync = atomicfile.Volatile
	}
	data := filepath.Join(dir, "_data")
	if err := errors.Join(os.Chmod(data, 0o755), sync.Dir(data)); err != nil {
		return nil, err
	}
	if err := atomicfile.WriteJSON(filepath.Join(dir, "volume.json"), h.Volume, 0o600, sync); err != nil {
		return nil, err
	}
	if h.lock, err = flock.Exclusive(filepath.Join(dir, "lock")); err != nil {
		return nil, err
	}
	if o.Container != "" {
		if err := s.Tie(name, o.Container); err != nil {
			return nil, err
		}
	}
	if err := os.Rename(dir, filepath.Join(s.dir, name)); err != nil {
		return nil, err
	}
	return h, sync.Dir(s.dir)
}

// locked calls fn while nobody else lists a new volume.
func (s *Store) locked(fn func() error) error {
	lock, err := flock.Exclusive(s.dir)
	if err != nil {
		return err
	}
	err = fn()
	return errors.Join(err, lock.Unlock())
}

// Obtain holds the volume name, which it makes if it is missing.
func (s *Store) Obtain(ctx context.Context, name string, o Options) (*Held, error) {
	for {
		h, err := s.Hold(name)
		if !errors.Is(err, errdefs.ErrNotFound) {
			return h, err
		}
		h, err = s.Create(ctx, name, o)
		if !errors.Is(err, errdefs.ErrAlreadyExists) {
			return h, err
		}
	}
}
