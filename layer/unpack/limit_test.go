package unpack

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

// TestEntriesAreLimited: entries that make nothing count too. As root and as a plain user.
func TestEntriesAreLimited(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for range 5 {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: ".wh..wh.aufs"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	for limit, ok := range map[int]bool{4: false, 5: true} {
		u, err := newUnpacker(context.Background(), int(dir.Fd()), &source{r: bytes.NewReader(b.Bytes())}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		u.limit = limit
		err = u.entries()
		u.close()
		if ok != (err == nil) || !ok && (!errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), "4 entries")) {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
}
