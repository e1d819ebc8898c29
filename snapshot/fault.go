package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/snapshot/key"
	"github.com/lrun-dev/lrun/snapshot/record"
)

// Fault is what is wrong with one part of the bookkeeping.
type Fault struct {
	// Path is the file or directory; Key is the snapshot's, as far as the name of its record tells, else "".
	Path, Key string
	// Absent: it is a record that counts as none, so that there is no such snapshot.
	Absent bool
	// Leftover: a killed process or a crash has left it, it harms nothing, and Sweep deletes it.
	Leftover bool
	Err      error
}

// Faults checks all records and what lies beside them, and changes nothing. It holds the lock while it looks at the
// claims, and reads no record meanwhile unless there are bytes that look like leftovers. What is removed at the same time
// may be called a leftover, never more.
func (s *Store) Faults(ctx context.Context) ([]Fault, error) {
	data, err := os.ReadDir(filepath.Join(s.dir, "data"))
	if err != nil {
		return nil, err
	}
	var faults []Fault
	named := map[string]bool{}
	err = s.locked(func() error {
		return s.claims(func(r *record.Record) { named[r.ID] = true }, func(path string) {
			named[strings.TrimSuffix(filepath.Base(path), suffix)] = true
			faults = append(faults, leftover(path, "what a killed process was making"))
		})
	})
	if err != nil {
		return nil, err
	}
	bad, unreadable, err := s.recordFaults(ctx, named)
	if err != nil {
		return nil, err
	}
	faults = append(faults, bad...)
	if unreadable { // its bytes look like an orphan's
		data = nil
	}
	if slices.ContainsFunc(data, func(e os.DirEntry) bool { return !named[e.Name()] }) {
		// Once more, while nobody renames records, as Commit does: one may have been missed.
		err = s.locked(func() error { return s.records(func(r *record.Record) error { name(named, r); return ctx.Err() }) })
	}
	if errdefs.IsDataLoss(err) {
		data, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range data {
		if path := s.data(e.Name()); !named[e.Name()] && exists(path) == nil {
			faults = append(faults, leftover(path, "bytes that no record names"))
		}
	}
	staging, err := os.ReadDir(filepath.Join(s.dir, "staging"))
	for _, e := range staging {
		if path := filepath.Join(s.dir, "staging", e.Name()); e.IsDir() && exists(path) == nil {
			faults = append(faults, leftover(path, "bytes of a removal that did not end"))
		}
	}
	return faults, err
}

func leftover(path, why string) Fault { return Fault{Path: path, Leftover: true, Err: errors.New(why)} }

func exists(path string) error {
	_, err := os.Lstat(path)
	return err
}

// recordFaults checks the records, and adds the ids that they name to named. unreadable: one of them does not say.
func (s *Store) recordFaults(ctx context.Context, named map[string]bool) (faults []Fault, unreadable bool, err error) {
	dir := filepath.Join(s.dir, "records")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, false, err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		escaped, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok {
			continue
		}
		f := Fault{Path: filepath.Join(dir, e.Name())}
		f.Key, _ = key.Unescape(escaped) // "" where it is of no key
		r, err := s.read(e.Name())
		switch {
		case errdefs.IsNotFound(err):
			if f.Leftover, f.Err = s.absence(e.Name()); f.Err != nil {
				f.Absent = true
				faults = append(faults, f)
			}
			continue
		case err != nil:
			unreadable, f.Absent, f.Err = true, errdefs.IsDataLoss(err), err
			faults = append(faults, f)
			continue
		}
		name(named, r)
		f.Key = string(r.Key)
		if _, f.Err = s.below(r); f.Err != nil && !meanwhile(f.Err) && exists(f.Path) == nil {
			faults = append(faults, f)
		}
	}
	return faults, unreadable, nil
}

// name adds to named the ids that r names.
func name(named map[string]bool, r *record.Record) {
	named[r.ID] = true
	for id := range strings.FieldsSeq(r.Below) {
		named[id] = true
	}
}

// meanwhile tells that err, of below, says that the record itself was removed, or made anew.
func meanwhile(err error) bool { return errdefs.IsNotFound(err) || errdefs.IsConflict(err) }

// absence says why a record counts as none; nil if it has just been removed, or removed and made again.
func (s *Store) absence(file string) (leftover bool, why error) {
	path := filepath.Join(s.dir, "records", file)
	r, err := record.Read(path)
	for range 4 { // time after time it may be another
		if _, again := s.read(file); again == nil || errors.Is(exists(path), fs.ErrNotExist) {
			return false, nil
		}
	}
	switch {
	case errors.Is(err, record.ErrNone):
		return !strings.Contains(file, ":"), fmt.Errorf("the record is empty: %w", errdefs.ErrDataLoss)
	case err != nil:
		return false, err
	case r.Boot != "":
		return true, errors.New("the record of a snapshot that was never synced, and whose bytes are gone")
	}
	return false, fmt.Errorf("its bytes, %q, are gone: %w", s.data(r.ID), errdefs.ErrDataLoss)
}
