package layer

import (
	"context"
	"errors"
	"io"

	"github.com/opencontainers/go-digest"
)

// DiffID returns the DiffID of the layer in blob, decompressed as its first bytes say: what Applied.DiffID is when it is unpacked.
// It reads blob to its end and keeps nothing. A damaged stream is ErrDataLoss, another compression ErrNotImplemented.
func DiffID(ctx context.Context, blob io.Reader) (id digest.Digest, err error) {
	tar, _, err := Decompress(blob)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, tar.Close()) }()
	s := newStream(ctx, tar)
	defer s.close()
	if _, err := io.Copy(io.Discard, s); err != nil {
		return "", err
	}
	return digest.NewDigest(digest.SHA256, s.digest), nil
}
