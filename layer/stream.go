package layer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

const (
	chunkSize  = 64 << 10
	chunkCount = 8
)

// stream reads ahead and digests on the way: a goroutine reads (and so decompresses), which takes about as long as what
// the consumer does with a chunk while it is in the cache: digest it, digest the files in it, write them. The chunks go
// round and are never allocated again.
type stream struct {
	ctx    context.Context
	stop   context.CancelFunc
	free   chan []byte
	full   chan chunk
	rest   []byte // of the chunk being consumed
	buf    []byte // the whole of it, to be given back
	err    error  // why there is no more; io.EOF at the end
	digest hash.Hash
	done   sync.WaitGroup
}

type chunk struct {
	data []byte
	err  error
}

func newStream(ctx context.Context, r io.Reader) *stream {
	s := &stream{free: make(chan []byte, chunkCount), full: make(chan chunk, chunkCount), digest: sha256.New()}
	s.ctx, s.stop = context.WithCancel(ctx)
	for range chunkCount {
		s.free <- make([]byte, chunkSize)
	}
	s.done.Go(func() { s.read(r) })
	return s
}

func (s *stream) read(r io.Reader) {
	for {
		var buf []byte
		select {
		case buf = <-s.free:
		case <-s.ctx.Done():
			return
		}
		n, err := fill(r, buf)
		s.full <- chunk{buf[:n], err} // there is room for all
		if err != nil {
			return
		}
	}
}

// fill is io.ReadFull that reports the reader's own error, so that a short end stays io.EOF and a truncated
// compressed stream stays what it is.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}

// Read makes stream an io.Reader for package tar.
func (s *stream) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		if s.buf != nil {
			s.free <- s.buf[:chunkSize]
			s.buf = nil
		}
		select {
		case c := <-s.full:
			s.digest.Write(c.data)
			s.buf, s.rest, s.err = c.data, c.data, c.err
		case <-s.ctx.Done():
			return 0, s.ctx.Err()
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// maxPadding is how much may follow the end of the archive. Writers of tar fill up a record of 10 KiB; a blob of some
// megabytes can hold terabytes of zeros.
const maxPadding = 1 << 30

// drain reads what follows the end of the archive, which counts for the DiffID, and returns the digest of all.
func (s *stream) drain() (digest.Digest, error) {
	for padding := 0; ; {
		if padding += len(s.rest); padding > maxPadding {
			return "", fmt.Errorf("read layer: more than %d bytes follow the end of the archive: %w", maxPadding, errdefs.ErrInvalidArgument)
		}
		s.rest = nil
		var b [1]byte
		if _, err := s.Read(b[:]); errors.Is(err, io.EOF) {
			return digest.NewDigest(digest.SHA256, s.digest), nil
		} else if err != nil {
			return "", fmt.Errorf("read layer: %w", err)
		}
	}
}

// close stops the goroutine and waits for it: the reader below is not used any more.
func (s *stream) close() {
	s.stop()
	s.done.Wait()
}
