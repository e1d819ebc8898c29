package archive

import (
	"os/exec"
	"path/filepath"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/internal/testutil"
)

// TestSkopeoArchives reads what another implementation writes.
func TestSkopeoArchives(t *testing.T) {
	testutil.RequireRoot(t)
	f := newFixture(t, image.HostPlatform(), gzipped, ocispec.MediaTypeImageLayerGzip, "one", "two")
	source := "oci:" + unpack(t, fileList(layout(t, []ocispec.Descriptor{f.named(refName, "src")}, f))...) + ":src"
	for _, c := range []struct {
		title, transport, suffix, names string
		args                            []string
		rewrites                        bool // the config or its form
	}{
		{"docker-archive", "docker-archive:", ":user/app:1", "user/app:1", nil, true},
		{"docker-archive without a name", "docker-archive:", "", "", nil, true},
		{"oci-archive", "oci-archive:", ":user/app:1", "user/app:1", nil, false},
		{"oci-archive with a tag", "oci-archive:", ":latest", "", nil, false},
		{"oci", "oci:", ":quay.io/user/app:1", "quay.io/user/app:1", nil, false},
		{"oci with zstd", "oci:", ":app:1", "app:1", []string{"--dest-compress-format", "zstd", "--dest-compress"}, true},
		{"docker schema 2", "oci:", ":app:2", "app:2", []string{"--format", "oci"}, false},
	} {
		t.Run(c.title, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "saved")
			args := append([]string{"--insecure-policy", "copy", "--quiet"}, c.args...)
			out, err := exec.CommandContext(t.Context(), "skopeo", append(args, source, c.transport+path+c.suffix)...).CombinedOutput()
			if err != nil {
				t.Fatalf("skopeo: %s, %v", out, err)
			}
			in := newIngest(t)
			got, err := readPath(t, in, path, Options{})
			if err != nil || refs(got) != c.names {
				t.Fatalf("got %s, %v; want %s", refs(got), err, c.names)
			}
			checkIngest(t, in, got)
			im := got[0].Image
			if !c.rewrites && (im.ID != f.id || im.Manifest.Digest != f.manifest) {
				t.Errorf("got %s with manifest %s, want %s with %s", im.ID, im.Manifest.Digest, f.id, f.manifest)
			}
			if len(im.Layers) != 2 {
				t.Errorf("layers %+v", im.Layers)
			}
		})
	}
}
