// Package record is the file that keeps what is known of one snapshot.
package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/snapshot/id"
	"github.com/lrun-dev/lrun/snapshot/key"
	"github.com/lrun-dev/lrun/snapshot/quota"
)

// Kind is what may be done with a snapshot.
type Kind string

const (
	// Active can be written to, and becomes committed by Commit.
	Active Kind = "active"
	// View can be read only, and cannot be committed.
	View Kind = "view"
	// Committed never changes again, and can be a parent.
	Committed Kind = "committed"
)

// Record is the content of a file in records/.
type Record struct {
	Key     key.Text          `json:"key"`
	Parent  key.Text          `json:"parent,omitempty"`
	Kind    Kind              `json:"kind"`
	ID      string            `json:"id,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Created time.Time         `json:"created"`
	Updated time.Time         `json:"updated,omitzero"` // zero: never
	Size    int64             `json:"size,omitempty"`
	Disk    int64             `json:"disk,omitempty"`
	// Boot is the boot in which a volatile snapshot was made, and empty for the others.
	Boot  string       `json:"boot,omitempty"`
	Limit *quota.Limit `json:"limit,omitempty"`
	// Was is the active snapshot that a committed one was: see snapshot.Store.Commit.
	Was *Record `json:"was,omitempty"`
	// Below holds all ids below, nearest first, with blanks between, so that mounting reads one record
	// however long the chain is. They never change: a parent is committed, and stays as long as it has
	// children. It is the last field: see Decode.
	Below string `json:"parents"`
}

// ErrNone is the answer for a record that is not there, or not any longer.
var ErrNone = fmt.Errorf("no such snapshot: %w", errdefs.ErrNotFound)

// Under is what a child of r has in Below. Without r that is nothing.
func (r *Record) Under() string {
	if r == nil {
		return ""
	}
	return strings.TrimSuffix(r.ID+" "+r.Below, " ")
}

// On tells that r stands on parent, nil for nothing: that Below says so, id by id.
func (r *Record) On(parent *Record) bool {
	if parent == nil {
		return r.Below == ""
	}
	rest, ok := strings.CutPrefix(r.Below, parent.ID)
	return ok && strings.TrimPrefix(rest, " ") == parent.Below
}

// NotOn is the error of r, which does not stand on its parent: damage, unless now, the record in its place, or err, of reading that,
// says that it was removed or made anew meanwhile.
func (r *Record) NotOn(now *Record, err error) error {
	if err != nil {
		return err
	}
	if now.ID != r.ID || now.Below != r.Below || !now.Created.Equal(r.Created) { // the id may be that of bytes that are shared
		return fmt.Errorf("snapshot %q: it was made anew meanwhile, try again: %w", string(r.Key), errdefs.ErrConflict)
	}
	return fmt.Errorf("snapshot %q: its parent %q is not what it was made on, see lrun fsck --repair: %w", string(r.Key), string(r.Parent), errdefs.ErrDataLoss)
}

// Bare is r without what the record that it is kept in says too.
func (r *Record) Bare() *Record {
	b := *r
	b.ID, b.Below, b.Was = "", "", nil
	return &b
}

// Before is the active snapshot that r, which has Was, was or still is. Commit changes what is below only where there was nothing.
func (r *Record) Before() *Record {
	w := *r.Was
	w.ID = r.ID
	if w.Parent == r.Parent {
		w.Below = r.Below
	}
	return &w
}

// ReadIn is Read of one file of the directory records/, which is named for the snapshot's key. It is the active snapshot's when
// a crash has left it between the two steps of snapshot.Store.Commit.
func ReadIn(dir, file string) (*Record, error) {
	r, err := Read(filepath.Join(dir, file))
	if err != nil || key.FileName(string(r.Key)) == file {
		return r, err
	}
	if r.Was == nil || key.FileName(string(r.Was.Key)) != file {
		return nil, fmt.Errorf("record %q is of the key %q: %w", file, r.Key, errdefs.ErrDataLoss)
	}
	return r.Before(), nil
}

// Read reads and checks a record. An empty file is ErrNone: without fsync, a crash leaves a
// name without its bytes.
func Read(path string) (*Record, error) {
	b, err := atomicfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(bytes.Trim(b, "\x00")) == 0 {
		return nil, ErrNone
	}
	if err != nil {
		return nil, err
	}
	r, err := Decode(b)
	if err == nil {
		err = r.Check()
	}
	if err != nil {
		return nil, fmt.Errorf("record %q: %w: %w", path, errdefs.ErrDataLoss, err)
	}
	return r, nil
}

// Decode is json.Unmarshal, but spares it the last field, which is nearly all of a long chain's record.
func Decode(b []byte) (*Record, error) {
	const field, end = `,"parents":"`, `"}`
	var r Record
	rest, ok := bytes.CutSuffix(b, []byte(end))
	i := bytes.LastIndex(rest, []byte(field))
	if !ok || i < 0 { // written by a person
		return &r, json.Unmarshal(b, &r)
	}
	r.Below = string(rest[i+len(field):])
	return &r, json.Unmarshal(append(rest[:i:i], '}'), &r)
}

// Check refuses kinds that are none, of which nobody knows what may be done with them, and ids that would be paths: they come
// from a file, and what they name is deleted.
func (r *Record) Check() error {
	switch {
	case r.Kind != Active && r.Kind != View && r.Kind != Committed:
		return fmt.Errorf("its kind is %q, which is none that lrun knows", r.Kind)
	case r.Was != nil && r.Was.Kind != Active:
		return fmt.Errorf("it was %q before it was committed, not active", r.Was.Kind)
	}
	return id.Check(r.ID, r.Below)
}
