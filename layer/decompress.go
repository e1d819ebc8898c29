package layer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Compression is the way in which a blob is compressed.
type Compression int

// The compressions that image layers have. The zero value is a plain tar.
const (
	None Compression = iota
	Gzip
	Zstd
)

// String returns the name of c as media types spell it: "none", "gzip" or "zstd".
func (c Compression) String() string {
	switch c {
	case Gzip:
		return "gzip"
	case Zstd:
		return "zstd"
	case None:
		return "none"
	}
	return fmt.Sprintf("compression %d", int(c))
}

// maxZstdWindow is what the zstd tool itself agrees to without being asked (--long=27).
const maxZstdWindow = 128 << 20

const sourceBuffer = 128 << 10

// Decompress finds out by its first bytes how r is compressed and returns the plain bytes. A media type is not asked:
// it is often wrong. gzip may have several members and zeros after the last one; zstd may have several frames, some
// of them skippable, and a window of at most 128 MiB. Other compressions are ErrNotImplemented, damaged streams are
// ErrDataLoss (from Read, too). The caller closes the reader, which leaves r open; r may be read beyond the end.
func Decompress(r io.Reader) (io.ReadCloser, Compression, error) {
	src := &source{r: r}
	buf := bufio.NewReaderSize(src, sourceBuffer)
	head, err := buf.Peek(10)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, None, err
	}
	switch {
	case isGzip(head):
		z, err := newGzipReader(buf)
		if err != nil {
			return nil, Gzip, src.blame("gzip", err)
		}
		return &decompressor{name: "gzip", r: z, src: src, close: func() { _ = z.z.Close() }}, Gzip, nil
	case isZstd(head):
		z, err := zstd.NewReader(buf, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, Zstd, src.blame("zstd", err)
		}
		return &decompressor{name: "zstd", r: z, src: src, close: z.Close}, Zstd, nil
	}
	if name := unsupported(head); name != "" {
		return nil, None, fmt.Errorf("decompress: %s is not supported, only gzip and zstd: %w", name, errdefs.ErrNotImplemented)
	}
	return io.NopCloser(buf), None, nil
}

func isGzip(head []byte) bool { return bytes.HasPrefix(head, []byte{0x1f, 0x8b}) }

// isZstd knows a frame of zstd and, before one, a skippable frame (RFC 8878, 3.1).
func isZstd(head []byte) bool {
	if len(head) < 4 {
		return false
	}
	return bytes.Equal(head[:4], []byte{0x28, 0xb5, 0x2f, 0xfd}) ||
		head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18})
}

// unsupported names the compressions that other tools accept and that have magic bytes no tar begins with.
func unsupported(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		return "xz"
	case len(head) >= 10 && bytes.HasPrefix(head, []byte("BZh")) && string(head[4:10]) == "1AY&SY":
		return "bzip2"
	}
	return ""
}

// source remembers the error of the reader below, so that it is not taken for damage of the stream.
type source struct {
	r   io.Reader
	err error
}

// Read passes on what the reader below says.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func (s *source) blame(name string, err error) error {
	if s.err != nil {
		return s.err
	}
	return fmt.Errorf("decompress %s: %w: %w", name, err, errdefs.ErrDataLoss)
}

type decompressor struct {
	name  string
	r     io.Reader
	src   *source
	close func()
}

// Read tells damage of the stream from an error of the reader below.
func (d *decompressor) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = d.src.blame(d.name, err)
	}
	return n, err
}

// Close frees what the decompressor holds. Read has told all errors already; some libraries tell the last one again.
func (d *decompressor) Close() error {
	d.close()
	return nil
}

// gzipReader reads one member after the other. The library would do that too, but takes zeros after the last one,
// which tapes and some registries leave, for a damaged header.
type gzipReader struct {
	z   *gzip.Reader
	buf *bufio.Reader
}

func newGzipReader(buf *bufio.Reader) (*gzipReader, error) {
	z, err := gzip.NewReader(buf)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	return &gzipReader{z: z, buf: buf}, nil
}

// Read reads one member and, at its end, begins the next.
func (g *gzipReader) Read(p []byte) (int, error) {
	for {
		n, err := g.z.Read(p)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
		if err := g.next(); err != nil {
			return 0, err
		}
	}
}

// next starts the next member. It returns io.EOF when only zeros follow.
func (g *gzipReader) next() error {
	head, err := g.buf.Peek(1)
	if err != nil {
		return err
	}
	if head[0] != 0 {
		if err := g.z.Reset(g.buf); err != nil {
			return err
		}
		g.z.Multistream(false)
		return nil
	}
	for {
		b, err := g.buf.ReadByte()
		if err != nil {
			return err
		}
		if b != 0 {
			return errors.New("bytes other than zero after the last member")
		}
	}
}
