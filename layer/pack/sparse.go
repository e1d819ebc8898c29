package pack

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// NextData returns where the next bytes of f that are no hole begin, at offset or after it; size when there are none
// before it. What a filesystem does not tell apart is no hole.
func NextData(f *os.File, offset, size int64) (int64, error) {
	return seek(f, offset, size, unix.SEEK_DATA)
}

// seek finds the next data or the next hole.
func seek(f *os.File, offset, size int64, whence int) (int64, error) {
	at, err := unix.Seek(int(f.Fd()), offset, whence)
	if errors.Is(err, unix.ENXIO) { // nothing but a hole is left
		return size, nil
	}
	return min(at, size), err
}

// copySparse writes size bytes of f, whose holes are not read.
func (w *Writer) copySparse(f *os.File, size int64) error {
	for at := int64(0); at < size; {
		data, err := NextData(f, at, size)
		if err != nil {
			return err
		}
		if err := w.zeros(data - at); err != nil {
			return err
		}
		if at = data; at == size {
			break
		}
		hole, err := seek(f, at, size, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if err := w.copy(io.NewSectionReader(f, at, hole-at), hole-at); err != nil {
			return err
		}
		at = hole
	}
	fi, err := f.Stat()
	if err == nil && fi.Size() < size { // what it lost looked like a hole
		err = fmt.Errorf("the file lost %d bytes while it was read: %w", size-fi.Size(), errdefs.ErrDataLoss)
	}
	return err
}

// zeros writes n zeros.
func (w *Writer) zeros(n int64) error {
	clear(w.buf)
	for n > 0 {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		written, err := w.tar.Write(w.buf[:min(n, int64(len(w.buf)))])
		if err != nil {
			return err
		}
		n -= int64(written)
	}
	return nil
}
