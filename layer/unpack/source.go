package unpack

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
)

// source remembers the error of the reader below, so that it is not taken for damage of the tar.
type source struct {
	r   io.Reader
	err error
	// reading is set while the next header is looked for, and promised when one was read that describes the next.
	reading, promised bool
}

// Read passes on what the reader below says.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	if s.reading && n == blockSize && describesNext(p[:n]) {
		s.promised = true
	}
	return n, err
}

// next returns the next header of r, which reads from s. Package tar takes an archive that ends after the records of an
// entry, before the entry itself, for whole.
func (s *source) next(r *tar.Reader) (*tar.Header, error) {
	s.reading, s.promised = true, false
	h, err := r.Next()
	s.reading = false
	if errors.Is(err, io.EOF) && s.promised {
		return nil, errors.New("it ends within the headers of an entry")
	}
	return h, err
}

const blockSize = 512

// describesNext tells a header that says something of the entry that follows: PAX records, a long name, a long target.
func describesNext(block []byte) bool {
	return bytes.IndexByte([]byte("xLK"), block[156]) >= 0 && bytes.HasPrefix(block[257:], []byte("ustar"))
}

// explain tells why reading the tar ended with err.
func (s *source) explain(err error) error {
	if s.err != nil {
		return s.err
	}
	return fmt.Errorf("%w: %w", err, errdefs.ErrDataLoss)
}
