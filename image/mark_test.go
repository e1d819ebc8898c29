package image

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestBlobs(t *testing.T) {
	s, blobs := testStore(t)
	ours, data := testImage(t, "1", "layer 1", "layer 2")
	publish(t, blobs, data...)
	theirs, data := testImage(t, "2", "layer 3")
	publish(t, blobs, data...)
	unnamed, data := testImage(t, "3", "layer 2", "layer 4")
	publish(t, blobs, data...)
	inner := toJSON(t, ocispec.Index{Manifests: []ocispec.Descriptor{theirs.Manifest}})
	missing := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: sha256, Size: 5}
	outer := toJSON(t, ocispec.Index{Manifests: []ocispec.Descriptor{describe(ocispec.MediaTypeImageIndex, inner), missing}})
	publish(t, blobs, inner, outer)
	index := toJSON(t, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ocispec.Descriptor{
		describe(ocispec.MediaTypeImageIndex, outer), {MediaType: "application/x", Digest: digest.FromString("x"), Size: 1},
	}})
	if err := os.WriteFile(s.indexPath(), index, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), Record{Image: ours.ID, Manifest: ours.Manifest}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Blobs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[digest.Digest]struct{}{sha256: {}, digest.FromString("x"): {}, digest.FromBytes(inner): {}, digest.FromBytes(outer): {}}
	for _, im := range []Image{ours, theirs} {
		want[im.ID], want[im.Manifest.Digest] = struct{}{}, struct{}{}
		for _, l := range im.Layers {
			want[l.Digest] = struct{}{}
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Blobs = %v\nwant %v", got, want)
	}
	if _, ok := got[unnamed.ID]; ok {
		t.Error("an image that nothing names is marked")
	}
	if err := os.WriteFile(filepath.Join(s.dir, "blobs", "sha256", theirs.Manifest.Digest.Encoded()), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Blobs(t.Context()); !errors.Is(err, errdefs.ErrDataLoss) || got != nil {
		t.Errorf("with a damaged manifest: %v, %v", got, err)
	}
}

// What an index of another version needs is not known, so nothing is.
func TestBlobsOfAnotherVersion(t *testing.T) {
	s, blobs := testStore(t)
	later := []byte(`{"schemaVersion":3,"images":{}}`)
	publish(t, blobs, later)
	index := toJSON(t, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ocispec.Descriptor{describe(ocispec.MediaTypeImageIndex, later)}})
	if err := os.WriteFile(s.indexPath(), index, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Blobs(t.Context()); !errors.Is(err, errdefs.ErrNotImplemented) || got != nil {
		t.Errorf("got %v, %v", got, err)
	}
}
