package blob

import (
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Mismatch is the error for bytes that are not the blob that they should be. It is errdefs.ErrDataLoss.
type Mismatch struct {
	Want   ocispec.Descriptor // what was announced: digest (empty: any) and size (negative: any)
	Digest digest.Digest      // what was found; empty: reading stopped after Size bytes, one more than there should be
	Size   int64              // the number of bytes read
}

// Compare returns a *Mismatch when a blob of size bytes with digest d is not the one that want describes.
func Compare(want ocispec.Descriptor, d digest.Digest, size int64) error {
	if (want.Digest == "" || want.Digest == d) && (want.Size < 0 || want.Size == size) {
		return nil
	}
	return &Mismatch{Want: want, Digest: d, Size: size}
}

// Error names the blob, what was expected and what was found.
func (m *Mismatch) Error() string {
	name := "blob"
	if m.Want.Digest != "" {
		name += " " + m.Want.Digest.String()
	}
	switch {
	case m.Digest == "":
		return fmt.Sprintf("%s is corrupt: it is longer than the %d bytes expected", name, m.Want.Size)
	case m.Want.Size >= 0 && m.Want.Size != m.Size:
		return fmt.Sprintf("%s is corrupt: expected %d bytes, found %d with digest %s", name, m.Want.Size, m.Size, m.Digest)
	}
	return fmt.Sprintf("%s is corrupt: its %d bytes have digest %s", name, m.Size, m.Digest)
}

// Unwrap makes a Mismatch an errdefs.ErrDataLoss.
func (m *Mismatch) Unwrap() error { return errdefs.ErrDataLoss }
