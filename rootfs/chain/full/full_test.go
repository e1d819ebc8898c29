package full

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// blob is a layer that is a plain tar of size bytes.
func blob(size int64) Layer {
	return Layer{Blob: size, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(nil)), nil }}
}

func TestExplain(t *testing.T) {
	room := Room{t.TempDir(), unix.Statfs_t{Bfree: 2000, Bsize: 1000}}
	broken := Layer{Blob: 1e6, Open: func() (io.ReadCloser, error) { return nil, errors.New("gone") }}
	other := errors.New("other")
	if got := room.Explain(other, nil); !errors.Is(got, other) || got.Error() != "other" {
		t.Errorf("another error became %v", got)
	}
	for _, c := range []struct {
		err    error
		layers []Layer
		want   string
	}{
		{unix.ENOSPC, []Layer{{Unpacked: 1.5e6}, blob(2.5e6), broken}, "2.0 MB were free before, and by what the blobs say 3.0 MB more are needed, with 2 layers not unpacked yet that have 3.5 MB as blobs;"},
		{unix.ENOSPC, []Layer{blob(1e6)}, "2.0 MB were free before, and more is needed, with 1 layers not"},
		{unix.ENOSPC, []Layer{blob(1 << 62), blob(1 << 62)}, "by what the blobs say 1125899904.8 MB more are needed,"},
		{unix.EDQUOT, nil, "its quota is used up;"},
	} {
		got := room.Explain(fmt.Errorf("write: %w", c.err), func() []Layer { return c.layers })
		if !errors.Is(got, c.err) || !strings.Contains(got.Error(), c.want) || !strings.Contains(got.Error(), room.dir) {
			t.Errorf("got %v, want %q", got, c.want)
		}
	}
}
