package manifest

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"os"
	"strings"

	"github.com/containerd/errdefs"
)

// Reader reads a manifest, in memory that does not depend on its length.
type Reader struct {
	r        *bufio.Reader
	sum      hash.Hash
	kind     Kind
	buf      []byte
	previous Entry
	count    uint64
	end      error // what Next returns from now on
	close    func() error
}

// NewReader begins to read a manifest. Bytes that are none are ErrDataLoss, a version that this lrun does not know is
// ErrNotImplemented. r is read beyond the end.
func NewReader(r io.Reader) (*Reader, error) {
	m := &Reader{r: bufio.NewReaderSize(r, bufferSize), sum: sha256.New(), close: func() error { return nil }}
	head := make([]byte, headLen)
	if _, err := io.ReadFull(m.r, head); err != nil {
		return nil, fmt.Errorf("read manifest: %w", cutOff(err))
	}
	text, known := strings.CutPrefix(string(head[:headLen-1]), magic)
	m.kind = Kind(head[headLen-1])
	switch {
	case !known, m.kind != Directory && m.kind != Changes:
		return nil, fmt.Errorf("read manifest: it is none: %w", errdefs.ErrDataLoss)
	case text != version:
		return nil, fmt.Errorf("read manifest: its version %q is not known to this lrun: %w", strings.TrimSpace(text), errdefs.ErrNotImplemented)
	}
	m.sum.Write(head)
	return m, nil
}

// Open begins to read the manifest in the file path, which the caller closes. One that is not there is ErrNotFound.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", err, errdefs.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	m, err := NewReader(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%q: %w", path, err), f.Close())
	}
	m.close = f.Close
	return m, nil
}

// Kind tells what the manifest describes.
func (m *Reader) Kind() Kind { return m.kind }

// Close closes the file of Open.
func (m *Reader) Close() error { return m.close() }

// Next returns the next entry, in the order of ComparePaths. Only io.EOF says that the manifest is whole and all
// entries were as written; damage, a cut and bytes after the end are ErrDataLoss, found at the latest there.
func (m *Reader) Next() (Entry, error) {
	if m.end != nil {
		return Entry{}, m.end
	}
	e, err := m.next()
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("read manifest, entry %d: %w", m.count+1, err)
	}
	m.end = err
	return e, err
}

// All ranges over the entries that are left. It ends after an error; none means what io.EOF of Next does.
func (m *Reader) All() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for {
			e, err := m.Next()
			if errors.Is(err, io.EOF) || !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func (m *Reader) next() (Entry, error) {
	length, err := m.number()
	if err != nil {
		return Entry{}, err
	}
	if length == 0 {
		return Entry{}, m.trailer()
	}
	if length > maxEntry {
		return Entry{}, damaged("an entry of %d bytes", length)
	}
	if err := m.fill(int(length)); err != nil {
		return Entry{}, err
	}
	m.sum.Write(m.buf)
	e, err := decodeEntry(m.buf, &m.previous)
	if err == nil {
		err = check(&e, &m.previous, m.count == 0)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("%w: %w", err, errdefs.ErrDataLoss)
	}
	m.previous = e
	m.count++
	return e, nil
}

// fill reads n bytes, and takes no more memory than there are bytes.
func (m *Reader) fill(n int) error {
	m.buf = m.buf[:0]
	for len(m.buf) < n {
		step := min(n-len(m.buf), bufferSize)
		m.buf = append(m.buf, make([]byte, step)...)
		if _, err := io.ReadFull(m.r, m.buf[len(m.buf)-step:]); err != nil {
			return cutOff(err)
		}
	}
	return nil
}

// number reads a number between entries.
func (m *Reader) number() (uint64, error) {
	var b []byte
	for len(b) < binary.MaxVarintLen64 {
		c, err := m.r.ReadByte()
		if err != nil {
			return 0, cutOff(err)
		}
		if b = append(b, c); c < 0x80 {
			break
		}
	}
	m.sum.Write(b)
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, damaged("a length that is no number")
	}
	return v, nil
}

// trailer checks the end of the manifest. It returns io.EOF when all is well.
func (m *Reader) trailer() error {
	count, err := m.number()
	if err != nil {
		return err
	}
	sum := m.sum.Sum(nil)
	if err := m.fill(len(sum)); err != nil {
		return err
	}
	switch {
	case string(sum) != string(m.buf):
		return damaged("its sha256 is %x, its trailer says %x", sum, m.buf)
	case count != m.count:
		return damaged("%d entries, its trailer says %d", m.count, count)
	}
	if _, err := m.r.ReadByte(); err == nil {
		return damaged("bytes after the trailer")
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return io.EOF
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("it is damaged: %s: %w", fmt.Sprintf(format, args...), errdefs.ErrDataLoss)
}

// cutOff tells an end that comes too early from an error of the reader below.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it is cut off: %w", errdefs.ErrDataLoss)
	}
	return err
}
