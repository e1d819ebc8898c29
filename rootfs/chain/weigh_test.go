package chain_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/lrun-dev/lrun/internal/tree"
	"github.com/lrun-dev/lrun/layer/layertest"
)

// TestSizeOnDiskIsRecorded compares what is recorded of each layer, unpacked or shared, with what du would find.
func TestSizeOnDiskIsRecorded(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		base := layertest.Tar(rootDir(0o755), dir("a", 0o755), file("a/f", strings.Repeat("f", 9000)))
		plain := layertest.Tar(rootDir(0o755), file("g", strings.Repeat("g", 300_000)), layertest.Link("h", "g"))
		settled := layertest.Tar(file("a/g", "g"))
		s.make(t, source(t, base, plain, settled))
		s.make(t, source(t, base, settled, plain))
		for key, info := range s.infos(t) {
			want, err := tree.Allocated(t.Context(), filepath.Join(s.snapshots.Dir(), "data", info.ID))
			if err != nil || want < 4096 || info.Disk != want {
				t.Errorf("%s: %d bytes are recorded, it takes %d, %v", key, info.Disk, want, err)
			}
		}
	})
}
