package rootfs

import (
	"context"

	"github.com/lrun-dev/lrun/layer/manifest"
)

// Manifest begins to read what was written down of every file of the layer with the given ChainID, or of another
// committed snapshot, when it was unpacked. The caller closes it. A snapshot that is not there, and one without a
// manifest, as older versions made them, are errdefs.ErrNotFound. On overlayfs it describes the directory as it lies
// on disk; that of a driver that copies is of the kind manifest.Changes, see manifest.Merge.
func (s *Store) Manifest(ctx context.Context, key string) (*manifest.Reader, error) {
	return s.chains.Manifest(ctx, key)
}
