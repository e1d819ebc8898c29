package content_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/layer/unpack/content"
)

func asIs(err error) error { return err }

func create(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func regular(size int64) *tar.Header { return &tar.Header{Typeflag: tar.TypeReg, Size: size} }

func sparse(size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Size: size, PAXRecords: map[string]string{"GNU.sparse.major": "1"}}
}

// TestWrite: the bytes are there, and the digest is theirs, whatever their number, with holes or without.
func TestWrite(t *testing.T) {
	w := content.NewWriter(t.Context(), true, asIs)
	for _, size := range []int{0, 1, 4095, 4096, 256 << 10, 256<<10 + 1, 3 << 20, 17 << 20} {
		data := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
		clear(data[size/4 : size/2])
		for _, h := range []*tar.Header{regular(int64(size)), sparse(int64(size))} {
			f := create(t)
			sum, err := w.Write(int(f.Fd()), h, bytes.NewReader(data))
			if err != nil || sum != sha256.Sum256(data) {
				t.Errorf("%d bytes, %v: %x, %v", size, h.PAXRecords, sum, err)
			}
			if got, err := os.ReadFile(f.Name()); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v: %d bytes were written, %v", size, h.PAXRecords, len(got), err)
			}
		}
	}
	sum, err := content.NewWriter(t.Context(), false, asIs).Write(int(create(t).Fd()), regular(1), strings.NewReader("x"))
	if err != nil || sum != [32]byte{} {
		t.Errorf("nobody asked for a digest: %x, %v", sum, err)
	}
}

// TestNoRoom: a file that cannot fit is refused before its first byte, and the message says by how much.
func TestNoRoom(t *testing.T) {
	f := create(t)
	_, err := content.NewWriter(t.Context(), false, asIs).Write(int(f.Fd()), regular(1<<60), strings.NewReader("never read"))
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "MB more than are free") {
		t.Errorf("got %v", err)
	}
	if fi, err := f.Stat(); err != nil || fi.Size() != 0 {
		t.Errorf("%d bytes were written, %v", fi.Size(), err)
	}
}

// TestHolesWithoutEnd: a header of 512 bytes cannot keep a process busy for years.
func TestHolesWithoutEnd(t *testing.T) {
	_, err := content.NewWriter(t.Context(), true, asIs).Write(int(create(t).Fd()), sparse(content.MaxSparse+1), strings.NewReader(""))
	if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), "1099511627777") {
		t.Errorf("got %v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestErrors(t *testing.T) {
	mine := errors.New("explained")
	w := content.NewWriter(t.Context(), true, func(err error) error { return errors.Join(mine, err) })
	if _, err := w.Write(int(create(t).Fd()), regular(5), failing{}); !errors.Is(err, mine) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the reader fails: %v", err)
	}
	readOnly, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	if _, err := w.Write(int(readOnly.Fd()), regular(5), strings.NewReader("12345")); !errors.Is(err, unix.EBADF) {
		t.Errorf("the file cannot be written to: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := content.NewWriter(ctx, true, asIs).Write(int(create(t).Fd()), regular(1<<20), bytes.NewReader(make([]byte, 1<<20))); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody wants it any more: %v", err)
	}
}
