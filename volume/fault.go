package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/flock"
)

// Fault is what is wrong with one entry of the store's directory.
type Fault struct {
	Name string // of the volume, "" for what is none
	Path string
	// Leftover: a killed process or a crash has left it, and nothing is lost with it.
	Leftover bool
	// Err is an errdefs.ErrDataLoss when the volume is damaged; else it is not known whether anything is wrong.
	Err error
	// Remedy is what to do about what Repair cannot do.
	Remedy string
}

// What the record of a volume may be.
var (
	errNoRecord = fmt.Errorf("it has no record: %w", errdefs.ErrDataLoss)
	errUnsynced = errors.New("a volume that was never synced, and whose record is gone")
)

// Faults looks at all volumes and what lies beside them, and changes nothing. It returns how many volumes there are. Nobody
// makes a volume meanwhile; what is removed meanwhile may be called a leftover, never more.
func (s *Store) Faults() (volumes int, faults []Fault, err error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	err = s.locked(func() error {
		for _, e := range entries {
			f := Fault{Path: filepath.Join(s.dir, e.Name())}
			switch {
			case strings.HasPrefix(e.Name(), tiePrefix), e.Name() == "lost+found":
				continue // whose the ties are is not known here; and this may be the top of a file system
			case strings.HasPrefix(e.Name(), newPrefix):
				f.Leftover, f.Err = true, errors.New("a volume that a killed process was making")
			case strings.HasPrefix(e.Name(), gonePrefix):
				f.Leftover, f.Err = true, s.removing(f.Path)
			case CheckName(e.Name()) != nil || !isDir(f.Path):
				f.Err = errors.New("it is no volume")
			default:
				volumes++
				f = s.fault(e.Name())
			}
			if _, err := os.Lstat(f.Path); f.Err != nil && err == nil {
				faults = append(faults, f)
			}
		}
		return nil
	})
	return volumes, faults, err
}

// removing says of a volume that is being deleted that nobody does so any longer.
func (s *Store) removing(path string) error {
	l, err := flock.TryExclusive(filepath.Join(path, "lock"))
	if errors.Is(err, flock.ErrBusy) {
		return nil
	}
	if err == nil {
		err = l.Unlock()
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(errors.New("a volume whose removal did not end"), err)
}

// fault says what is wrong with the volume name, in Err: nil for nothing.
func (s *Store) fault(name string) Fault {
	f := Fault{Name: name, Path: filepath.Join(s.dir, name)}
	v, err := s.recorded(name)
	f.Err, f.Leftover = err, errors.Is(err, errUnsynced)
	path := s.Path(v)
	switch {
	case f.Err != nil || isDir(path):
	case v.Device() != "":
		f.Err = fmt.Errorf("the directory that it shows, %q, is not there", path)
	default:
		f.Err = fmt.Errorf("its files, %q, are missing: %w", path, errdefs.ErrDataLoss)
		f.Remedy = "bring them back, or remove the volume with lrun volume rm " + name
	}
	return f
}

// Has tells whether there is anything of that name, be it as damaged as it may.
func (s *Store) Has(name string) bool {
	_, err := os.Lstat(filepath.Join(s.dir, name))
	return err == nil
}

func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}

// recorded is Get that believes no record of another volume, and says what is wrong with one that is missing.
func (s *Store) recorded(name string) (Volume, error) {
	v, err := s.Get(name)
	switch {
	case err == nil && v.Name != name:
		return v, fmt.Errorf("its record is that of the volume %q: %w", v.Name, errdefs.ErrDataLoss)
	case err == nil:
		return v, CheckOptions(v.Options)
	case !errdefs.IsNotFound(err):
		return Volume{}, err
	}
	if _, err := os.Lstat(s.record(name)); errors.Is(err, fs.ErrNotExist) {
		return Volume{}, errNoRecord
	}
	return Volume{}, errUnsynced
}

// Repair puts right what Faults has found of the volume name, as far as nothing is lost by that, and says what it did. Where
// files have no record it writes one, and leaves a damaged one beside it. What it cannot do is an error. A volume that is
// held is errdefs.ErrFailedPrecondition.
func (s *Store) Repair(name string) (did string, err error) {
	err = s.locked(func() error {
		var l *flock.Lock
		l, err := flock.TryExclusive(filepath.Join(s.dir, name, "lock"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // nobody holds what has no lock
			return err
		}
		did, err = s.repair(name)
		if l != nil {
			err = errors.Join(err, l.Unlock())
		}
		return err
	})
	return did, err
}

// repair is Repair of a volume that nobody else works with.
func (s *Store) repair(name string) (did string, err error) {
	dir := filepath.Join(s.dir, name)
	f := s.fault(name)
	if f.Remedy != "" {
		return "", fmt.Errorf("%s: %w", f.Remedy, f.Err)
	}
	v, why := s.recorded(name)
	if !errdefs.IsDataLoss(why) {
		return "", f.Err
	}
	files, err := os.ReadDir(filepath.Join(dir, "_data"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if len(files) == 0 && v.Name == "" { // perhaps it showed a directory of the host: which one is not known
		return "", fmt.Errorf("%w: it holds no files; remove the directory %q", why, dir)
	}
	record := Volume{Name: name, Created: time.Now().UTC()}
	did = "it has a new record, without the labels that it may have had"
	if v.Name != "" { // all but the name may be its own
		record.Labels, record.Options, record.Created = v.Labels, v.Options, v.Created
		did = "its record has its name again"
	}
	kept := s.record(name) + ".damaged"
	err = os.Rename(s.record(name), kept)
	if err == nil {
		did += fmt.Sprintf("; the damaged one is %q", kept)
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = atomicfile.WriteJSON(s.record(name), record, 0o600, s.sync)
	}
	return did, err
}
