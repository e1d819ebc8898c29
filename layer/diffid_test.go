package layer_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/layer"
)

func TestDiffIDOfABlob(t *testing.T) {
	plain := bytes.Repeat([]byte("a layer, or anything else "), 100_000)
	packed := gzipped(string(plain))
	for name, c := range map[string]struct {
		blob []byte
		is   error
	}{
		"plain":             {plain, nil},
		"gzip":              {packed, nil},
		"cut off":           {packed[:len(packed)/2], errdefs.ErrDataLoss},
		"something follows": {append(bytes.Clone(packed), "garbage"...), errdefs.ErrDataLoss},
		"xz":                {[]byte("\xfd7zXZ\x00 and so on"), errdefs.ErrNotImplemented},
	} {
		id, err := layer.DiffID(t.Context(), bytes.NewReader(c.blob))
		if !errors.Is(err, c.is) || err == nil && id != digest.FromBytes(plain) {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := layer.DiffID(ctx, bytes.NewReader(plain)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
