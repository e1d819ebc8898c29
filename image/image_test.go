package image

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image/blob"
)

// testStore is a store in a temporary directory.
func testStore(t testing.TB) (*Store, *blob.Store) {
	t.Helper()
	dir := t.TempDir()
	blobs, err := blob.Open(filepath.Join(dir, "images"), filepath.Join(dir, "ingest"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(filepath.Join(dir, "images"), blobs)
	if err != nil {
		t.Fatal(err)
	}
	return s, blobs
}

// testImage returns an image with one layer for each of layers, and all of its blobs.
func testImage(t testing.TB, author string, layers ...string) (im Image, blobs [][]byte) {
	t.Helper()
	created := time.Date(2024, 5, 6, 7, 8, 9, 10, time.UTC)
	config := ocispec.Image{
		Author: author, Created: &created, Platform: HostPlatform(), RootFS: ocispec.RootFS{Type: "layers"},
	}
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromString(l))
		manifest.Layers = append(manifest.Layers, describe(ocispec.MediaTypeImageLayer, []byte(l)))
		blobs = append(blobs, []byte(l))
	}
	configBytes := toJSON(t, config)
	manifest.Config = describe(ocispec.MediaTypeImageConfig, configBytes)
	manifestBytes := toJSON(t, manifest)
	im, err := ParseImage(describe(ocispec.MediaTypeImageManifest, manifestBytes), manifestBytes, configBytes)
	if err != nil {
		t.Fatal(err)
	}
	return im, append(blobs, configBytes, manifestBytes)
}

func describe(mediaType string, b []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
}

func toJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// publish stores blobs.
func publish(t testing.TB, s *blob.Store, blobs ...[]byte) {
	t.Helper()
	in, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for _, b := range blobs {
		if err := in.Write(t.Context(), describe("", b), bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.Publish(); err != nil {
		t.Fatal(err)
	}
}

func ref(t testing.TB, s string) Reference {
	t.Helper()
	if s == "" {
		return Reference{}
	}
	r, err := ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return r.WithDefaultTag()
}

func record(t testing.TB, name, author string) Record {
	t.Helper()
	im, _ := testImage(t, author, "layer")
	return Record{
		Ref: ref(t, name), Image: im.ID, Manifest: im.Manifest, RepoDigest: digest.FromString("index of " + author),
		Created: *im.Config.Created, Size: 1 << 33,
	}
}

// names renders the records as "name=author", in order.
func names(t testing.TB, s *Store, authors ...string) string {
	t.Helper()
	ids := map[digest.Digest]string{}
	for _, a := range authors {
		ids[record(t, "", a).Image] = a
	}
	list, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range list {
		out = append(out, r.Ref.Familiar()+"="+ids[r.Image])
	}
	return strings.Join(out, " ")
}
