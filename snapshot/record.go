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
)

// record is the content of a file in records/.
type record struct {
	Key     text              `json:"key"`
	Parent  text              `json:"parent,omitempty"`
	Kind    Kind              `json:"kind"`
	ID      string            `json:"id"`
	Labels  map[string]string `json:"labels,omitempty"`
	Created time.Time         `json:"created"`
	Size    int64             `json:"size,omitempty"`
	// Parents holds all ids below, so that mounting reads one record however long the chain is. They
	// never change: a parent is committed, and stays as long as it has children.
	Parents []string `json:"parents,omitempty"`
	// Boot is the boot in which a volatile snapshot was made, and empty for the others.
	Boot string `json:"boot,omitempty"`
	// Was is the active snapshot that a committed one was: see Store.Commit.
	Was *record `json:"was,omitempty"`
}

// errNoRecord is the answer for a record that is not there, or not any longer.
var errNoRecord = fmt.Errorf("no such snapshot: %w", errdefs.ErrNotFound)

func (r *record) info() Info {
	return Info{
		Key: string(r.Key), Parent: string(r.Parent), Kind: r.Kind, ID: r.ID, Labels: r.Labels,
		Created: r.Created, Size: r.Size, Volatile: r.Boot != "",
	}
}

func (r *record) snapshot() Snapshot {
	return Snapshot{ID: r.ID, Kind: r.Kind, Parents: r.Parents, Volatile: r.Boot != ""}
}

// under is the list of ids that a child of r has below it. Without r it is empty.
func (r *record) under() []string {
	if r == nil {
		return nil
	}
	return append([]string{r.ID}, r.Parents...)
}

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
		r = r.Was
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
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(bytes.Trim(b, "\x00")) == 0 {
		return nil, errNoRecord
	}
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("record %q: %w: %w", path, errdefs.ErrDataLoss, err)
	}
	for _, id := range append([]string{r.ID}, r.Parents...) {
		if !isID(id) {
			return nil, fmt.Errorf("record %q: %q is no id: %w", path, id, errdefs.ErrDataLoss)
		}
	}
	return &r, nil
}

// isID tells ids from what would be a path: they come from a file, and what they name is deleted.
func isID(s string) bool {
	return len(s) == idLen && strings.Trim(s, "0123456789abcdef") == ""
}

// records calls fn for each record, in the order of file names. Those that vanish meanwhile are
// left out; those that are unreadable too, and are in the error, which is returned at the end.
func (s *Store) records(fn func(*record) error) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, "records"))
	if err != nil {
		return err
	}
	var bad []error
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		r, err := s.read(e.Name())
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
