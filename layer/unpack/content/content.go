// Package content writes the bytes of a regular file out of a tar: plain or with holes, digested on the way if wanted.
package content

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

const (
	// MaxSparse is how long a file with holes may be. The holes cost no room, but package tar gives them as zeros, and
	// a header of 512 bytes can ask for 8 EiB.
	MaxSparse = 1 << 40
	// bigFile is how much a file must take so that it is worth asking whether there is room for it.
	bigFile = 16 << 20
	// earlyFile is how much a file must take so that its bytes are sent to the disk at once.
	earlyFile = 1 << 20
	// holeSize is the block in which zeros are looked for: that of nearly every filesystem.
	holeSize = 4096
	// bufferSize is how much is written at once. On ext4 of Linux 6.18, in a virtual machine, writing the same bytes in
	// pieces of 128 KiB or more took the kernel about six times as long (docs/performance.md).
	bufferSize = 64 << 10
)

// Writer writes files, one after the other, with buffers that it keeps.
type Writer struct {
	ctx     context.Context
	explain func(error) error
	hash    hash.Hash // nil: nobody wants digests
	buf     []byte
}

// NewWriter returns a writer that stops with ctx and gives digests if digest is set. explain tells why reading a body
// failed.
func NewWriter(ctx context.Context, digest bool, explain func(error) error) *Writer {
	w := &Writer{ctx: ctx, explain: explain, buf: make([]byte, bufferSize)}
	if digest {
		w.hash = sha256.New()
	}
	return w
}

// Write writes the body of h to the new file fd and returns its sha256, zero if it is not wanted. A file for which the
// filesystem has no room is ENOSPC before anything is written.
func (w *Writer) Write(fd int, h *tar.Header, body io.Reader) (sum [sha256.Size]byte, err error) {
	if w.hash != nil {
		w.hash.Reset()
	}
	if isSparse(h) {
		err = w.sparse(fd, h.Size, body)
	} else {
		err = w.all(fd, h.Size, body)
	}
	if err == nil && w.hash != nil {
		sum = [sha256.Size]byte(w.hash.Sum(nil))
	}
	return sum, err
}

func (w *Writer) all(fd int, size int64, body io.Reader) error {
	if err := checkRoom(fd, size); err != nil {
		return err
	}
	if err := w.blocks(body, func(_ int64, data []byte) error { return writeFull(fd, data) }); err != nil {
		return err
	}
	if size >= earlyFile {
		// The disk may begin while we go on; whoever syncs waits for it, and is told what went wrong.
		_ = unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE)
	}
	return nil
}

// checkRoom fails when fd's filesystem has no room for size bytes.
func checkRoom(fd int, size int64) error {
	if size < bigFile {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return fmt.Errorf("ask for free space: %w", err)
	}
	if room := st.Bfree * uint64(st.Bsize); uint64(size) > room {
		return fmt.Errorf("the file has %.1f MB, %.1f MB more than are free: %w", float64(size)/1e6, float64(uint64(size)-room)/1e6, unix.ENOSPC)
	}
	return nil
}

// blocks calls do for one buffer of the body after the other.
func (w *Writer) blocks(body io.Reader, do func(offset int64, data []byte) error) error {
	for offset := int64(0); ; {
		n, err := fill(body, w.buf)
		atEnd := errors.Is(err, io.EOF)
		if err != nil && !atEnd {
			return fmt.Errorf("read file: %w", w.explain(err))
		}
		if w.hash != nil {
			w.hash.Write(w.buf[:n])
		}
		if err := do(offset, w.buf[:n]); err != nil {
			return fmt.Errorf("write file: %w", err)
		}
		if atEnd {
			return nil
		}
		if err := w.ctx.Err(); err != nil {
			return err
		}
		offset += int64(n)
	}
}

// fill is io.ReadFull that reports the reader's own error: io.EOF at the end, whether or not the buffer is full.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}

func writeFull(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// isSparse reports that the tar marks the file as sparse: GNU's old form or one of the three in PAX records.
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// sparse leaves out the blocks that are all zero, which package tar gives for the holes.
func (w *Writer) sparse(fd int, size int64, body io.Reader) error {
	if size > MaxSparse {
		return fmt.Errorf("a file with holes of %d bytes: %d are the most: %w", size, int64(MaxSparse), errdefs.ErrInvalidArgument)
	}
	if err := unix.Ftruncate(fd, size); err != nil {
		return fmt.Errorf("set size: %w", err)
	}
	var zeros [holeSize]byte
	return w.blocks(body, func(offset int64, data []byte) error {
		for len(data) > 0 {
			block := data[:min(len(data), holeSize)]
			if !bytes.Equal(block, zeros[:len(block)]) {
				if err := pwriteFull(fd, block, offset); err != nil {
					return err
				}
			}
			data, offset = data[len(block):], offset+int64(len(block))
		}
		return nil
	})
}

func pwriteFull(fd int, data []byte, offset int64) error {
	for len(data) > 0 {
		n, err := unix.Pwrite(fd, data, offset)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		data, offset = data[n:], offset+int64(n)
	}
	return nil
}
