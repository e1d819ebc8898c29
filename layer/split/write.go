package split

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
)

// Write reads the layer tar stream to its end and writes to w what is not in the files of x. The same stream and files make
// the same bytes. Contents that no file has any more, because a later entry of the layer has replaced it, are kept in the
// data up to 1 MiB each; a longer one is errdefs.ErrFailedPrecondition. A stream that is no tar is errdefs.ErrDataLoss.
// It takes some megabytes of memory, whatever the layer. Nothing is synced.
func Write(ctx context.Context, w io.Writer, stream io.Reader, x *Index) (Total, error) {
	z := gzip.NewWriter(w)
	out := &writer{lines: sha256.New(), buf: make([]byte, 0, maxSegment)}
	out.w = io.MultiWriter(z, out.lines)
	in := &recorder{ctx: ctx, r: stream, sum: sha256.New(), out: out, on: true}
	if err := out.line(head{format, version}); err != nil {
		return Total{}, err
	}
	if err := in.entries(x); err != nil {
		return Total{}, err
	}
	if _, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{in}, make([]byte, maxSegment)); err != nil {
		return Total{}, fmt.Errorf("read layer: %w", err)
	}
	if err := out.flush(); err != nil {
		return Total{}, err
	}
	t := Total{DiffID: digest.NewDigest(digest.SHA256, in.sum), Size: in.size, Entries: out.count}
	err := out.line(tail{t.Entries, t.Size, t.DiffID, hex.EncodeToString(out.lines.Sum(nil))})
	return t, errors.Join(err, z.Close())
}

// recorder passes the stream on to package tar, which reads no further than it must, and records what is no content.
type recorder struct {
	ctx  context.Context
	r    io.Reader
	sum  hash.Hash
	size int64
	out  *writer
	on   bool // records
	body []byte
}

// Read implements io.Reader.
func (in *recorder) Read(p []byte) (int, error) {
	if err := in.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := in.r.Read(p)
	in.sum.Write(p[:n])
	in.size += int64(n)
	if in.on {
		if err := in.out.segment(p[:n]); err != nil {
			return n, err
		}
	}
	return n, err
}

// entries goes through the tar. Sparse files stay in the data: on disk they are something else than in the tar.
func (in *recorder) entries(x *Index) error {
	r := tar.NewReader(in)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = fmt.Errorf("%w: %w", err, errdefs.ErrDataLoss)
			}
			return fmt.Errorf("read layer: %w", err)
		}
		if h.Typeflag != tar.TypeReg || h.Size == 0 || sparse(h) {
			continue
		}
		in.on = false
		err = in.file(h, r, x)
		in.on = true
		if err != nil {
			return fmt.Errorf("split %q: %w", h.Name, err)
		}
	}
}

func sparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// file reads the content of h, and writes down where it is, or the content itself.
func (in *recorder) file(h *tar.Header, body io.Reader, x *Index) error {
	if in.body == nil {
		in.body = make([]byte, maxInline)
	}
	sum, crc, n := sha256.New(), newCRC(), 0
	e := entry{Type: isFile, Size: h.Size}
	for rest := h.Size; rest > 0; rest -= int64(n) {
		var err error
		if n, err = io.ReadFull(body, in.body[:min(rest, maxInline)]); err != nil {
			return fmt.Errorf("read layer: %w", cutOff(err))
		}
		sum.Write(in.body[:n])
		c := crc(in.body[:n])
		e.Payload = c[:]
	}
	path, ok := x.find(h.Name, content{[sha256.Size]byte(sum.Sum(nil)), h.Size})
	switch {
	case ok:
		e.setName(path)
		return in.out.add(e)
	case h.Size <= maxInline:
		return in.out.segment(in.body[:n])
	}
	return errdefs.ErrFailedPrecondition.WithMessage(fmt.Sprintf("a later entry of the layer has replaced its %d bytes", h.Size))
}

// writer writes lines.
type writer struct {
	w     io.Writer
	lines hash.Hash
	buf   []byte // the segment that is not written yet
	count int
}

func (w *writer) segment(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), cap(w.buf)-len(w.buf))
		w.buf, p = append(w.buf, p[:n]...), p[n:]
		if len(w.buf) == cap(w.buf) {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush writes the segment.
func (w *writer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	data := w.buf
	w.buf = w.buf[:0]
	return w.put(entry{Type: isSegment, Payload: data})
}

// add writes an entry after the segment that comes before it.
func (w *writer) add(e entry) error {
	if err := w.flush(); err != nil {
		return err
	}
	return w.put(e)
}

func (w *writer) put(e entry) error {
	e.Position = w.count
	w.count++
	return w.line(e)
}

func (w *writer) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.w.Write(append(b, '\n'))
	return err
}
