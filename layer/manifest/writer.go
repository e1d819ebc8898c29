package manifest

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/containerd/errdefs"
)

const bufferSize = 64 << 10

// Writer writes a manifest.
type Writer struct {
	w        *bufio.Writer
	sum      hash.Hash
	buf      []byte
	previous Entry
	count    uint64
	err      error
}

// NewWriter begins a manifest of the given kind on w. Without Close it is not complete.
func NewWriter(w io.Writer, kind Kind) *Writer {
	m := &Writer{sum: sha256.New()}
	m.w = bufio.NewWriterSize(io.MultiWriter(w, m.sum), bufferSize)
	_, m.err = m.w.WriteString(magic + version + string(rune(kind)))
	return m
}

// Write adds an entry: the root first, then the others in the order of ComparePaths. Another order, and an entry that
// no tree has, are ErrInvalidArgument. e and what it refers to may be used again.
func (m *Writer) Write(e Entry) error {
	if m.err != nil {
		return m.err
	}
	if err := check(&e, &m.previous, m.count == 0); err != nil {
		return fmt.Errorf("write manifest: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	m.buf = appendEntry(m.buf[:0], &e, &m.previous)
	if len(m.buf) > maxEntry {
		return fmt.Errorf("write manifest: the xattrs of %q take more than %d bytes: %w", e.Path, maxEntry, errdefs.ErrInvalidArgument)
	}
	var length [binary.MaxVarintLen64]byte
	_, m.err = m.w.Write(binary.AppendUvarint(length[:0], uint64(len(m.buf))))
	if m.err == nil {
		_, m.err = m.w.Write(m.buf)
	}
	m.previous = e
	m.count++
	return m.err
}

// Close ends the manifest: after the entries their number and the sha256 of all before. It closes and syncs nothing.
func (m *Writer) Close() error {
	if m.err != nil {
		return m.err
	}
	if m.count == 0 {
		return fmt.Errorf("write manifest: it has no entry: %w", errdefs.ErrInvalidArgument)
	}
	_, m.err = m.w.Write(binary.AppendUvarint([]byte{0}, m.count))
	if m.err == nil {
		m.err = m.w.Flush()
	}
	if m.err == nil {
		_, m.err = m.w.Write(m.sum.Sum(nil))
	}
	if m.err == nil {
		m.err = m.w.Flush()
	}
	return m.err
}

// WriteFile makes the file path and has write fill it. Nothing is synced. What was there is replaced; after an error no
// file is there.
func WriteFile(path string, kind Kind, write func(*Writer) error) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := NewWriter(f, kind)
	if err = write(w); err == nil {
		err = w.Close()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
