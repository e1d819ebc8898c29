package split

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"runtime"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// Assemble writes the tar that r describes to w, with the contents of the files in dir, which it only reads. It returns nil
// when all was written and has the DiffID that it must have. A file that is gone, or has other bytes, and split data that is
// damaged are errdefs.ErrDataLoss; then part of the tar, or a wrong one, has been written.
func Assemble(ctx context.Context, w io.Writer, dir *os.File, r *Reader) error {
	a := &assembly{ctx: ctx, sum: sha256.New(), dir: dir, buf: make([]byte, maxInline)}
	a.w = io.MultiWriter(w, a.sum)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && e.Type == isSegment {
			_, err = a.w.Write(e.Payload)
		} else if err == nil {
			err = a.file(e)
		}
		if err != nil {
			return err
		}
	}
	if found := digest.NewDigest(digest.SHA256, a.sum); found != r.Total().DiffID {
		return fmt.Errorf("the files of the layer make a tar of DiffID %s, not %s: %w", found, r.Total().DiffID, errdefs.ErrDataLoss)
	}
	return nil
}

type assembly struct {
	ctx context.Context
	w   io.Writer
	sum hash.Hash
	dir *os.File
	buf []byte
}

// file writes the content of one file.
func (a *assembly) file(e entry) (err error) {
	f, err := a.open(e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	crc := newCRC()
	var sum [8]byte
	for rest := e.Size; rest > 0; {
		if err := a.ctx.Err(); err != nil {
			return err
		}
		p := a.buf[:min(rest, int64(len(a.buf)))]
		if _, err := io.ReadFull(f, p); err != nil {
			return fmt.Errorf("read %q: %w", e.name(), err)
		}
		sum = crc(p)
		if _, err := a.w.Write(p); err != nil {
			return err
		}
		rest -= int64(len(p))
	}
	if string(sum[:]) != string(e.Payload) {
		return fmt.Errorf("file %q of the layer is not what was unpacked: its CRC-64 is %x, was %x: %w", e.name(), sum, e.Payload, errdefs.ErrDataLoss)
	}
	return nil
}

// open opens the file of e, if it is what it must be. What is somewhere else, a device or a FIFO is never opened for reading.
func (a *assembly) open(e entry) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_NOFOLLOW,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	}
	defer runtime.KeepAlive(a.dir)
	var st unix.Stat_t
	err := unix.Fstatat(int(a.dir.Fd()), e.name(), &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && (st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != e.Size) {
		return nil, fmt.Errorf("%q of the layer is not the file of %d bytes that was unpacked: %w", e.name(), e.Size, errdefs.ErrDataLoss)
	}
	fd := -1
	if err == nil {
		fd, err = unix.Openat2(int(a.dir.Fd()), e.name(), &how)
	}
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV), errors.Is(err, unix.ENAMETOOLONG):
		return nil, fmt.Errorf("open file %q of the layer: %w: %w", e.name(), err, errdefs.ErrDataLoss)
	case err != nil:
		return nil, fmt.Errorf("open file %q of the layer: %w", e.name(), err)
	}
	return os.NewFile(uintptr(fd), e.name()), nil
}
