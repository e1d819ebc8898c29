package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

func TestWriteVerifies(t *testing.T) {
	const good = "content"
	failing := errors.New("line is down")
	for _, c := range []struct {
		title string
		desc  ocispec.Descriptor
		r     io.Reader
		is    error
		says  string
	}{
		{"other bytes", describe(good), strings.NewReader("Content"), errdefs.ErrDataLoss, "its 7 bytes have digest " + digest.FromString("Content").String()},
		{"too short", describe(good), strings.NewReader("conten"), errdefs.ErrDataLoss, "expected 7 bytes, found 6 with digest " + digest.FromString("conten").String()},
		{"too long", describe(good), io.MultiReader(strings.NewReader(good), strings.NewReader("+")), errdefs.ErrDataLoss, "longer than the 7 bytes expected"},
		{"endless", describe(good), zeros{}, errdefs.ErrDataLoss, "longer than the 7 bytes expected"},
		{"empty", describe(good), strings.NewReader(""), errdefs.ErrDataLoss, "expected 7 bytes, found 0"},
		{"size unknown", ocispec.Descriptor{Digest: digest.FromString(good), Size: -1}, strings.NewReader("x"), errdefs.ErrDataLoss, "its 1 bytes"},
		{"digest unknown", ocispec.Descriptor{Size: 7}, strings.NewReader("x"), errdefs.ErrDataLoss, "blob is corrupt: expected 7 bytes, found 1"},
		{"reader fails", describe(good), io.MultiReader(strings.NewReader("con"), iotest.ErrReader(failing)), failing, ""},
		{"no digest", ocispec.Descriptor{Digest: "sha256:../../../x", Size: -1}, strings.NewReader(good), errdefs.ErrInvalidArgument, ""},
		{"no room", ocispec.Descriptor{Digest: digest.FromString(good), Size: 1 << 60}, iotest.ErrReader(failing), unix.ENOSPC, "MB more than are free"},
		{"no room, digest unknown", ocispec.Descriptor{Size: 1 << 60}, iotest.ErrReader(failing), unix.ENOSPC, "write blob: it has"},
		{"no room after all", ocispec.Descriptor{Size: 2e6 + 3}, io.MultiReader(strings.NewReader(good[:3]), iotest.ErrReader(unix.ENOSPC)), unix.ENOSPC, "no room for the last 2.0 MB of 2.0"},
		{"algorithm", ocispec.Descriptor{Digest: "md5:d41d8cd98f00b204e9800998ecf8427e", Size: -1}, strings.NewReader(good), errdefs.ErrInvalidArgument, ""},
	} {
		t.Run(c.title, func(t *testing.T) {
			s := testStore(t)
			in := begin(t, s)
			err := in.Write(t.Context(), c.desc, c.r)
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %v with %q", err, c.is, c.says)
			}
			var m *Mismatch
			if errors.As(err, &m) && (!errors.Is(c.is, errdefs.ErrDataLoss) || m.Want.Digest != c.desc.Digest) {
				t.Errorf("mismatch %+v", m)
			}
			if errors.Is(c.is, errdefs.ErrDataLoss) && c.desc.Digest != "" && !strings.Contains(err.Error(), c.desc.Digest.String()) {
				t.Errorf("%v does not name the blob", err)
			}
			if left := files(t, in.dir); len(left) != 0 || len(in.Digests()) != 0 {
				t.Errorf("left %v, %v", left, in.Digests())
			}
		})
	}
}

// zeros never end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestWriteStopsWithContext(t *testing.T) {
	in := begin(t, testStore(t))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, _, err := in.WriteUnknown(ctx, -1, iotest.DataErrReader(io.MultiReader(strings.NewReader("x"), blocked(ctx.Done()), zeros{})))
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left := files(t, in.dir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// blocked reads nothing until it is closed.
type blocked <-chan struct{}

func (b blocked) Read([]byte) (int, error) {
	<-b
	return 0, io.EOF
}

func TestIngestsAreConcurrent(t *testing.T) {
	s := testStore(t)
	in, other := begin(t, s), begin(t, s)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			text := fmt.Sprint("blob ", i%20)
			for _, in := range []*Ingest{in, other} {
				if err := in.Write(t.Context(), describe(text), strings.NewReader(text)); err != nil {
					t.Error(err)
				}
				if i == 7 {
					if err := in.Sync(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	wg.Go(func() {
		if err := other.Publish(); err != nil {
			t.Error(err)
		}
	})
	if err := in.Publish(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	n := 0
	err := s.Walk(func(d digest.Digest, _ int64) error {
		n++
		if got := content(t, s, d); digest.FromString(got) != d {
			t.Errorf("%s holds %q", d, got)
		}
		return nil
	})
	if err != nil || n != 20 {
		t.Errorf("%d blobs, %v", n, err)
	}
}
