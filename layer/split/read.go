package split

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"io"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
)

// Reader reads split data, in memory that does not depend on its length.
type Reader struct {
	r     *bufio.Reader
	lines hash.Hash
	total Total
	end   error // what next returns from now on
}

// NewReader begins to read split data. Bytes that are none are errdefs.ErrDataLoss, a version that this lrun does not know is
// errdefs.ErrNotImplemented. r is read beyond the end.
func NewReader(r io.Reader) (*Reader, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("read split data: %w", broken(err))
	}
	s := &Reader{r: bufio.NewReaderSize(z, maxLine), lines: sha256.New()}
	var h head
	b, err := s.line()
	if err == nil && json.Unmarshal(b, &h) != nil || err == nil && (h.Format != format || h.Version < 1) {
		err = damaged("it does not begin as split data does")
	}
	if err != nil {
		return nil, fmt.Errorf("read split data: %w", err)
	}
	if h.Version != version {
		return nil, fmt.Errorf("read split data: its version %d is not known to this lrun: %w", h.Version, errdefs.ErrNotImplemented)
	}
	s.lines.Write(b)
	return s, nil
}

// broken says of an error of the compression that it is damage.
func broken(err error) error {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	if corrupt || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) {
		return damaged("%v", err)
	}
	return cutOff(err)
}

// line reads one line, with its end. It is good until the next.
func (s *Reader) line() ([]byte, error) {
	b, err := s.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, damaged("a line of more than %d bytes", maxLine)
	case err != nil:
		return nil, broken(err)
	}
	return b, nil
}

// Total says what the stream is, once all of the data was read.
func (s *Reader) Total() Total { return s.total }

// next returns the next entry. Only io.EOF says that the data is whole and all entries were as written; damage, a cut and
// bytes after the end are errdefs.ErrDataLoss, found at the latest there.
func (s *Reader) next() (entry, error) {
	if s.end != nil {
		return entry{}, s.end
	}
	e, err := s.read()
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("read split data, entry %d: %w", s.total.Entries+1, err)
	}
	s.end = err
	return e, err
}

func (s *Reader) read() (entry, error) {
	b, err := s.line()
	if err != nil {
		return entry{}, err
	}
	var l struct {
		entry
		Entries int           `json:"entries"`
		DiffID  digest.Digest `json:"diffID"`
		SHA256  string        `json:"sha256"`
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return entry{}, damaged("%v", err)
	}
	if l.SHA256 != "" {
		return entry{}, s.finish(tail{l.Entries, l.Size, l.DiffID, l.SHA256})
	}
	s.lines.Write(b)
	if err := l.check(s.total.Entries); err != nil {
		return entry{}, err
	}
	s.total.Entries++
	s.total.Size += l.Size
	if l.Type == isSegment {
		s.total.Size += int64(len(l.Payload))
	}
	return l.entry, nil
}

// check refuses an entry that is never written.
func (e *entry) check(position int) error {
	switch {
	case e.Position != position:
		return damaged("position %d, not %d", e.Position, position)
	case e.Type == isSegment && e.Size == 0 && e.name() == "" && len(e.Payload) > 0 && len(e.Payload) <= maxSegment:
		return nil
	case e.Type == isFile && e.Size > 0 && e.name() != "" && len(e.Payload) == crc64.Size:
		return nil
	}
	return damaged("an entry of type %d, %q, of %d bytes", e.Type, e.name(), e.Size)
}

// finish checks the last line. It returns io.EOF when all is well.
func (s *Reader) finish(t tail) error {
	sum := hex.EncodeToString(s.lines.Sum(nil))
	switch {
	case t.SHA256 != sum:
		return damaged("its sha256 is %s, its last line says %s", sum, t.SHA256)
	case t.Entries != s.total.Entries || t.Size != s.total.Size || t.DiffID.Validate() != nil:
		return damaged("%d entries of %d bytes, its last line says %d of %d", s.total.Entries, s.total.Size, t.Entries, t.Size)
	}
	s.total.DiffID = t.DiffID
	if _, err := s.r.ReadByte(); err == nil {
		return damaged("bytes after the last line")
	} else if !errors.Is(err, io.EOF) {
		return broken(err)
	}
	return io.EOF
}
