package layer_test

import (
	"archive/tar"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/layer"
)

func newTarWriter(w io.Writer) *tar.Writer { return tar.NewWriter(w) }

// The values were made with sha256sum: printf 'sha256:… sha256:…' | sha256sum.
func TestChainID(t *testing.T) {
	ids := []digest.Digest{digest.FromString("a"), digest.FromString("b"), digest.FromString("c")}
	want := []digest.Digest{
		"sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
		"sha256:51c0c8ace48498d6f5fee6b0592cc06f2da0f3cbe09c5a34a97dce85c3889676",
		"sha256:2fce7f8ce91bcf0a1428b36e1024639fdbd9469eea762dba98aa749631885106",
	}
	for n := range ids {
		if got := layer.ChainID(ids[:n+1]); got != want[n] {
			t.Errorf("of %d layers: got %s", n+1, got)
		}
		if got := layer.ChainIDs(ids)[n]; got != want[n] {
			t.Errorf("prefix %d: got %s", n, got)
		}
	}
	if got := layer.ChainID(nil); got != "" {
		t.Errorf("of no layers: got %q", got)
	}
	if got := layer.ChainIDs(nil); len(got) != 0 {
		t.Errorf("of no layers: got %q", got)
	}
}
