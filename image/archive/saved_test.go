package archive

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/archive/save"
	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/layer/split"
)

// stored gives blobs to save.Write; none was dropped.
type stored struct{ *blob.Ingest }

func (s stored) Blob(d digest.Digest) (*os.File, error) { return s.Open(d) }

func (stored) Tar(_ context.Context, im image.Image, layer int) (split.Source, error) {
	return split.Source{}, fmt.Errorf("layer %s: %w", im.Layers[layer].Digest, errdefs.ErrNotFound)
}

// TestSaved reads what lrun itself writes: every digest and every name comes back.
func TestSaved(t *testing.T) {
	one := newFixture(t, image.HostPlatform(), gzipped, ocispec.MediaTypeImageLayerGzip, "one", "two")
	two := newFixture(t, image.HostPlatform(), gzipped, ocispec.MediaTypeImageLayerGzip, "one", "three")
	data := pack(t, fileList(layout(t, []ocispec.Descriptor{
		one.named(containerdName, "docker.io/user/app:1"), one.named(containerdName, "quay.io/app:2"), two.descriptor,
	}, one, two))...)
	in := newIngest(t)
	loaded, err := readTar(t, in, data, Options{})
	if err != nil || len(loaded) != 2 {
		t.Fatalf("%d images, %v", len(loaded), err)
	}
	var entries []save.Entry
	for _, c := range loaded {
		entries = append(entries, save.Entry{Image: c.Image, Refs: c.Refs})
	}
	for name, format := range map[string]save.Format{"docker": save.Docker, "oci": save.OCI} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := save.Write(t.Context(), &b, stored{in}, entries, save.Options{Format: format}); err != nil {
				t.Fatal(err)
			}
			again := newIngest(t)
			got, err := readTar(t, again, b.Bytes(), Options{})
			if err != nil || len(got) != len(loaded) || refs(got) != refs(loaded) {
				t.Fatalf("got %s, %v; want %s", refs(got), err, refs(loaded))
			}
			checkIngest(t, again, got)
			for i := range got {
				if got[i].Image.ID != loaded[i].Image.ID || got[i].Image.Manifest.Digest != loaded[i].Image.Manifest.Digest {
					t.Errorf("image %d is %s with manifest %s, was %s with %s", i,
						got[i].Image.ID, got[i].Image.Manifest.Digest, loaded[i].Image.ID, loaded[i].Image.Manifest.Digest)
				}
			}
		})
	}
}
