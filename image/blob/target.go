package blob

import (
	"bytes"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// target is the file of a blob that is being written: as long as the bytes are those of a blob that was kept, that one; else a new one.
type target struct {
	dir  string
	alg  digest.Algorithm
	f    *os.File   // the new one, or nil
	like []*os.File // kept ones; the first has all that was written so far, while there is no new one
	same int64      // the bytes that the first has
	sum  hash.Hash  // of what was written before
	buf  []byte
	room func() bool // makes room, and tells whether it could
}

// Write implements io.Writer. What it has written before is in sum by then.
func (t *target) Write(p []byte) (int, error) {
	if t.f == nil && t.continues(p) {
		t.same += int64(len(p))
		return len(p), nil
	}
	if err := t.begin(); err != nil {
		return 0, err
	}
	return (*writer)(t).Write(p)
}

// writer writes to the new file of a target.
type writer target

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	if errors.Is(err, unix.ENOSPC) && w.room() {
		var more int
		more, err = w.f.Write(p[n:])
		n += more
	}
	return n, err
}

// continues tells whether one of like goes on with p, and makes it the first. When none does, like stays as it is.
func (t *target) continues(p []byte) bool {
	for i, f := range t.like {
		if t.has(f, p, t.same) && (i == 0 || t.alike(f)) {
			t.like[0], t.like[i] = f, t.like[0]
			return true
		}
	}
	return false
}

// has tells whether f has p at off.
func (t *target) has(f *os.File, p []byte, off int64) bool {
	if cap(t.buf) < len(p) {
		t.buf = make([]byte, len(p))
	}
	n, _ := f.ReadAt(t.buf[:len(p)], off)
	return bytes.Equal(t.buf[:n], p)
}

// alike tells whether f begins as the first of like does, as far as that was compared.
func (t *target) alike(f *os.File) bool {
	first := make([]byte, 64<<10)
	for off := int64(0); off < t.same; off += int64(len(first)) {
		first = first[:min(int64(len(first)), t.same-off)]
		if _, err := t.like[0].ReadAt(first, off); err != nil || !t.has(f, first, off) {
			return false
		}
	}
	return true
}

// begin makes the new file, with what was the same, unless there is one.
func (t *target) begin() (err error) {
	if t.f != nil {
		return nil
	}
	if t.f, err = os.CreateTemp(t.dir, ""); err != nil || t.same == 0 {
		return errors.Join(err, t.forget(0))
	}
	if err := t.forget(1); err != nil { // the others may have to make room
		return err
	}
	copied := t.alg.Hash()
	_, err = io.Copy(io.MultiWriter((*writer)(t), copied), io.NewSectionReader(t.like[0], 0, t.same))
	if err == nil && !bytes.Equal(copied.Sum(nil), t.sum.Sum(nil)) {
		err = fmt.Errorf("a blob in %q changed while it was read: remove it: %w", filepath.Join(filepath.Dir(t.dir), KeptDir), errdefs.ErrDataLoss)
	}
	return errors.Join(err, t.forget(0))
}

// forget closes what was kept, but for the first few, and removes its names in the ingest; one may have become the blob.
func (t *target) forget(but int) error {
	var errs []error
	for _, f := range t.like[min(but, len(t.like)):] {
		err := os.Remove(f.Name())
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		errs = append(errs, err, f.Close())
	}
	t.like = t.like[:min(but, len(t.like))]
	return errors.Join(errs...)
}

// kept returns the kept blob that has all that was written and no more, or nil.
func (t *target) kept() *os.File {
	for i, f := range t.like {
		if fi, err := f.Stat(); err == nil && fi.Mode().IsRegular() && fi.Size() == t.same && (i == 0 || t.alike(f)) {
			return f
		}
	}
	return nil
}

// close closes the files, and removes the new one unless it has become a blob.
func (t *target) close(made bool) error {
	errs := []error{t.forget(0)}
	if t.f != nil {
		errs = append(errs, t.f.Close())
		if !made {
			errs = append(errs, os.Remove(t.f.Name()))
		}
	}
	return errors.Join(errs...)
}
