package tree

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// smallFile is up to where reading and writing is cheaper than asking the kernel to copy.
const smallFile = 64 << 10

// content makes the bytes of dst those of src, which has the size in st: shared if possible, else
// copied with its holes.
func (c *copier) content(dst, src int, st *unix.Stat_t) error {
	if st.Size == 0 {
		return nil
	}
	if !c.noClone.Load() {
		err := unix.IoctlFileClone(dst, src)
		if err == nil {
			return nil
		}
		if !cannot(err) {
			return err
		}
		c.noClone.Store(true)
	}
	sparse := st.Blocks*512 < st.Size
	if !sparse && st.Size <= smallFile {
		return copySmall(dst, src, int(st.Size))
	}
	if !sparse {
		return copyRange(dst, src, 0, st.Size)
	}
	return copySparse(dst, src, st.Size)
}

// cannot reports whether err says that these two files, or this kernel, have no such copy.
func cannot(err error) bool {
	for _, e := range []error{unix.ENOTSUP, unix.ENOSYS, unix.EXDEV, unix.EINVAL, unix.ENOTTY, unix.EPERM, unix.ETXTBSY} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// copySmall copies size bytes with one read and one write.
func copySmall(dst, src, size int) error {
	return copyBuffered(dst, src, 0, int64(size), make([]byte, size))
}

// copySparse copies the parts that hold data, and makes the size right.
func copySparse(dst, src int, size int64) error {
	for end := int64(0); end < size; {
		start, err := unix.Seek(src, end, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // only a hole is left
			break
		}
		if err != nil {
			return err
		}
		if end, err = unix.Seek(src, start, unix.SEEK_HOLE); err != nil {
			return err
		}
		if err := copyRange(dst, src, start, end-start); err != nil {
			return err
		}
	}
	return unix.Ftruncate(dst, size)
}

// copyRange copies n bytes at offset, within the kernel if it can.
func copyRange(dst, src int, offset, n int64) error {
	for n > 0 {
		in, out := offset, offset
		done, err := unix.CopyFileRange(src, &in, dst, &out, int(min(n, 1<<30)), 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil && cannot(err) {
			return copyBuffered(dst, src, offset, n, make([]byte, min(n, 1<<20)))
		}
		if err != nil {
			return err
		}
		if done == 0 {
			return io.ErrUnexpectedEOF
		}
		offset, n = offset+int64(done), n-int64(done)
	}
	return nil
}

// copyBuffered copies n bytes at offset through buf.
func copyBuffered(dst, src int, offset, n int64, buf []byte) error {
	for n > 0 {
		got, err := unix.Pread(src, buf[:min(n, int64(len(buf)))], offset)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if got == 0 {
			return io.ErrUnexpectedEOF
		}
		for at := 0; at < got; {
			put, err := unix.Pwrite(dst, buf[at:got], offset+int64(at))
			if err != nil && !errors.Is(err, unix.EINTR) {
				return err
			}
			at += max(put, 0)
		}
		offset, n = offset+int64(got), n-int64(got)
	}
	return nil
}
