package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/readahead"
	"github.com/lrun-dev/lrun/snapshot/record"
)

// infoOf is what is known of r.
func infoOf(r *record.Record) Info {
	i := Info{
		Key: string(r.Key), Parent: string(r.Parent), Kind: r.Kind, ID: r.ID, Labels: r.Labels,
		Created: r.Created, Updated: r.Updated, Size: r.Size, Disk: r.Disk, Volatile: r.Boot != "", Limit: r.Limit,
	}
	if i.Updated.IsZero() {
		i.Updated = i.Created
	}
	return i
}

// asked is what the driver is told of r.
func asked(r *record.Record) Snapshot {
	return Snapshot{ID: r.ID, Kind: r.Kind, Parents: strings.Fields(r.Below), Volatile: r.Boot != "", Limit: r.Limit}
}

// lookup reads the record of key. What it returns has bytes: a record whose data is gone, because
// the machine crashed while a volatile snapshot was made or any was removed, does not count.
func (s *Store) lookup(key string) (*record.Record, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	r, err := s.read(fileName(key))
	if err != nil {
		return nil, fmt.Errorf("snapshot %q: %w", key, err)
	}
	return r, nil
}

// exists reports whether key names a snapshot of whatever kind. A record that cannot be read may be replaced.
func (s *Store) exists(key string) (bool, error) {
	_, err := s.lookup(key)
	if unusable(err) {
		return false, nil
	}
	return err == nil, err
}

// unusable tells that lookup found no record, or none that says anything: the snapshot is not there.
func unusable(err error) bool { return errdefs.IsNotFound(err) || errdefs.IsDataLoss(err) }

// read reads one file of records/, and record.ErrNone when it says nothing.
func (s *Store) read(file string) (*record.Record, error) {
	r, err := record.ReadIn(s.recordDir(), file)
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(s.data(r.ID)); errors.Is(err, fs.ErrNotExist) {
		return nil, record.ErrNone
	} else if err != nil {
		return nil, err
	}
	return r, nil
}

// batch is how many records a core reads one after the other.
const batch = 32

// records calls fn for each record, in the order of file names. Those that vanish meanwhile are
// left out; those that are unreadable too, and are in the error, which is returned at the end.
func (s *Store) records(fn func(*record.Record) error) error {
	entries, err := os.ReadDir(s.recordDir())
	if err != nil {
		return err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) {
			names = append(names, e.Name())
		}
	}
	var bad []error
	for r, err := range readahead.Each(len(names), batch, func(i int) (*record.Record, error) { return s.read(names[i]) }) {
		if errors.Is(err, record.ErrNone) {
			continue
		}
		if err != nil {
			bad = append(bad, err)
			continue
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	return errors.Join(bad...)
}
