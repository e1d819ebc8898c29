package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/readahead"
	"github.com/lrun-dev/lrun/snapshot/id"
)

// record is the content of a file in records/.
type record struct {
	Key     text              `json:"key"`
	Parent  text              `json:"parent,omitempty"`
	Kind    Kind              `json:"kind"`
	ID      string            `json:"id,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Created time.Time         `json:"created"`
	Updated time.Time         `json:"updated,omitzero"` // zero: never
	Size    int64             `json:"size,omitempty"`
	Disk    int64             `json:"disk,omitempty"`
	// Boot is the boot in which a volatile snapshot was made, and empty for the others.
	Boot  string `json:"boot,omitempty"`
	Limit *Limit `json:"limit,omitempty"`
	// Was is the active snapshot that a committed one was: see Store.Commit.
	Was *record `json:"was,omitempty"`
	// Below holds all ids below, nearest first, with blanks between, so that mounting reads one record
	// however long the chain is. They never change: a parent is committed, and stays as long as it has
	// children. It is the last field: see decode.
	Below string `json:"parents"`
}

// errNoRecord is the answer for a record that is not there, or not any longer.
var errNoRecord = fmt.Errorf("no such snapshot: %w", errdefs.ErrNotFound)

func (r *record) info() Info {
	i := Info{
		Key: string(r.Key), Parent: string(r.Parent), Kind: r.Kind, ID: r.ID, Labels: r.Labels,
		Created: r.Created, Updated: r.Updated, Size: r.Size, Disk: r.Disk, Volatile: r.Boot != "", Limit: r.Limit,
	}
	if i.Updated.IsZero() {
		i.Updated = i.Created
	}
	return i
}

func (r *record) snapshot() Snapshot {
	return Snapshot{ID: r.ID, Kind: r.Kind, Parents: strings.Fields(r.Below), Volatile: r.Boot != "", Limit: r.Limit}
}

// under is what a child of r has in Below. Without r that is nothing.
func (r *record) under() string {
	if r == nil {
		return ""
	}
	return strings.TrimSuffix(r.ID+" "+r.Below, " ")
}

// bare is r without what the record that it is kept in says too.
func (r *record) bare() *record {
	b := *r
	b.ID, b.Below, b.Was = "", "", nil
	return &b
}

// was is the active snapshot that r was, or still is. Commit changes what is below only where there was nothing.
func (r *record) was() *record {
	w := *r.Was
	w.ID = r.ID
	if w.Parent == r.Parent {
		w.Below = r.Below
	}
	return &w
}

// depth is how many ids are below r.
func (r *record) depth() int { return (len(r.Below) + 1) / (id.Len + 1) }

// lookup reads the record of key. What it returns has bytes: a record whose data is gone, because
// the machine crashed while a volatile snapshot was made or any was removed, does not count.
func (s *Store) lookup(key string) (*record, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	r, err := s.read(fileName(key))
	if err != nil {
		return nil, fmt.Errorf("snapshot %q: %w", key, err)
	}
	return r, nil
}

// exists reports whether key names a snapshot of whatever kind.
func (s *Store) exists(key string) (bool, error) {
	_, err := s.lookup(key)
	if errors.Is(err, errdefs.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// read reads one file of records/, and errNoRecord when it says nothing.
func (s *Store) read(file string) (*record, error) {
	r, err := parse(filepath.Join(s.dir, "records", file))
	if err != nil {
		return nil, err
	}
	if fileName(string(r.Key)) != file {
		// A crash between the two steps of Commit: still the active one.
		if r.Was == nil || fileName(string(r.Was.Key)) != file {
			return nil, fmt.Errorf("record %q is of the key %q: %w", file, r.Key, errdefs.ErrDataLoss)
		}
		r = r.was()
	}
	if _, err := os.Lstat(s.data(r.ID)); errors.Is(err, fs.ErrNotExist) {
		return nil, errNoRecord
	} else if err != nil {
		return nil, err
	}
	return r, nil
}

// parse reads and checks a record. An empty file is errNoRecord: without fsync, a crash leaves a
// name without its bytes.
func parse(path string) (*record, error) {
	b, err := atomicfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(bytes.Trim(b, "\x00")) == 0 {
		return nil, errNoRecord
	}
	if err != nil {
		return nil, err
	}
	r, err := decode(b)
	if err == nil {
		err = r.check()
	}
	if err != nil {
		return nil, fmt.Errorf("record %q: %w: %w", path, errdefs.ErrDataLoss, err)
	}
	return r, nil
}

// decode is json.Unmarshal, but spares it the last field, which is nearly all of a long chain's record.
func decode(b []byte) (*record, error) {
	const field, end = `,"parents":"`, `"}`
	var r record
	rest, ok := bytes.CutSuffix(b, []byte(end))
	i := bytes.LastIndex(rest, []byte(field))
	if !ok || i < 0 { // written by a person
		return &r, json.Unmarshal(b, &r)
	}
	r.Below = string(rest[i+len(field):])
	return &r, json.Unmarshal(append(rest[:i:i], '}'), &r)
}

// check refuses kinds that are none, of which nobody knows what may be done with them, and ids that would be paths: they come
// from a file, and what they name is deleted.
func (r *record) check() error {
	switch {
	case r.Kind != Active && r.Kind != View && r.Kind != Committed:
		return fmt.Errorf("its kind is %q, which is none that lrun knows", r.Kind)
	case r.Was != nil && r.Was.Kind != Active:
		return fmt.Errorf("it was %q before it was committed, not active", r.Was.Kind)
	}
	return id.Check(r.ID, r.Below)
}

// batch is how many records a core reads one after the other.
const batch = 32

// records calls fn for each record, in the order of file names. Those that vanish meanwhile are
// left out; those that are unreadable too, and are in the error, which is returned at the end.
func (s *Store) records(fn func(*record) error) error {
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
	for r, err := range readahead.Each(len(names), batch, func(i int) (*record, error) { return s.read(names[i]) }) {
		if errors.Is(err, errNoRecord) {
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
