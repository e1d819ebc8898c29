package archive

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
)

// member is an entry of a tar: a file with content, or a link.
type member struct {
	name, content, link string
	hard                bool
}

// pack makes a tar of members. Directories above them are not written.
func pack(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: 0o644, Size: int64(len(m.content)), Typeflag: tar.TypeReg}
		if m.link != "" {
			h.Typeflag, h.Linkname = tar.TypeSymlink, m.link
		}
		if m.hard {
			h.Typeflag = tar.TypeLink
		}
		if strings.HasSuffix(m.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unpack writes members beneath a new directory.
func unpack(t testing.TB, members ...member) string {
	t.Helper()
	dir := t.TempDir()
	for _, m := range members {
		path := filepath.Join(dir, m.name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil && m.link != "" {
			err = os.Symlink(m.link, path)
		} else if err == nil {
			err = os.WriteFile(path, []byte(m.content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// files sorts a map of names and contents into members.
func fileList(content map[string]string) []member {
	var members []member
	for _, name := range slices.Sorted(maps.Keys(content)) {
		members = append(members, member{name: name, content: content[name]})
	}
	return members
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstandard(t testing.TB, data []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(data, nil)
}

// layerTar is a small layer that differs by name.
func layerTar(t testing.TB, name string) []byte {
	t.Helper()
	return pack(t, member{name: name, content: "content of " + name})
}

// fixture is an image to be put into archives.
type fixture struct {
	id, manifest digest.Digest
	descriptor   ocispec.Descriptor
	config       string
	layers       []string          // as stored
	blobs        map[string]string // manifest, config and layers by their files in a layout
}

// make makes an image for platform whose layers, named names, are stored as compress leaves them.
func newFixture(t testing.TB, platform image.Platform, compress func(testing.TB, []byte) []byte, mediaType string, names ...string) fixture {
	t.Helper()
	created := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	config := ocispec.Image{Created: &created, Platform: platform, RootFS: ocispec.RootFS{Type: "layers"}}
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Layers: []ocispec.Descriptor{},
	}
	f := fixture{blobs: map[string]string{}}
	for _, name := range names {
		plain := layerTar(t, name)
		stored := plain
		if compress != nil {
			stored = compress(t, plain)
		}
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(plain))
		manifest.Layers = append(manifest.Layers, describe(mediaType, stored))
		f.layers = append(f.layers, string(stored))
		f.add(stored)
	}
	configBytes := toJSON(t, config)
	manifest.Config = describe(ocispec.MediaTypeImageConfig, configBytes)
	manifestBytes := toJSON(t, manifest)
	f.add(configBytes)
	f.add(manifestBytes)
	f.config, f.id, f.manifest = string(configBytes), manifest.Config.Digest, digest.FromBytes(manifestBytes)
	f.descriptor = describe(ocispec.MediaTypeImageManifest, manifestBytes)
	return f
}

func (f fixture) add(content []byte) { f.blobs[blobName(digest.FromBytes(content))] = string(content) }

// simple is an image of the host's platform with plain layers.
func simple(t testing.TB, names ...string) fixture {
	t.Helper()
	return newFixture(t, image.HostPlatform(), nil, ocispec.MediaTypeImageLayer, names...)
}

// forPlatform is a one-layer image for the platform p, and its descriptor says so.
func forPlatform(t testing.TB, p string) fixture {
	t.Helper()
	platform, err := image.ParsePlatform(p)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, platform, nil, ocispec.MediaTypeImageLayer, "layer of "+p)
	f.descriptor.Platform = &platform
	return f
}

// named returns the descriptor of f with the annotations of a name.
func (f fixture) named(annotations ...string) ocispec.Descriptor {
	d := f.descriptor
	d.Annotations = map[string]string{}
	for i := 0; i < len(annotations); i += 2 {
		d.Annotations[annotations[i]] = annotations[i+1]
	}
	return d
}

// layout makes the files of an OCI layout with the images given and the index entries given.
func layout(t testing.TB, entries []ocispec.Descriptor, images ...fixture) map[string]string {
	t.Helper()
	files := map[string]string{
		"oci-layout": `{"imageLayoutVersion":"1.0.0"}`,
		"index.json": string(toJSON(t, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: entries})),
	}
	for _, f := range images {
		maps.Copy(files, f.blobs)
	}
	return files
}

// nest adds an index of entries to files and returns its descriptor.
func nest(t testing.TB, files map[string]string, entries ...ocispec.Descriptor) ocispec.Descriptor {
	t.Helper()
	data := toJSON(t, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: entries,
	})
	files[blobName(digest.FromBytes(data))] = string(data)
	return describe(ocispec.MediaTypeImageIndex, data)
}

func toJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newIngest returns an ingest of a new store.
func newIngest(t testing.TB) *blob.Ingest {
	t.Helper()
	dir := t.TempDir()
	s, err := blob.Open(filepath.Join(dir, "images"), filepath.Join(dir, "ingest"))
	if err != nil {
		t.Fatal(err)
	}
	in, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	})
	return in
}

// readTar reads an archive that is a stream. Read must have got all of it.
func readTar(t testing.TB, in *blob.Ingest, data []byte, o Options) ([]image.Candidate, error) {
	t.Helper()
	r := bytes.NewReader(data)
	candidates, err := Read(t.Context(), FromReader(r, "stream"), in, o)
	if err == nil && r.Len() > 0 {
		t.Errorf("%d bytes of the stream are left", r.Len())
	}
	return candidates, err
}

// readPath reads an archive in a file or directory.
func readPath(t testing.TB, in *blob.Ingest, path string, o Options) ([]image.Candidate, error) {
	t.Helper()
	src, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}()
	return Read(t.Context(), src, in, o)
}

// checkIngest checks that in holds the blobs of candidates and no others, and that they are whole.
func checkIngest(t testing.TB, in *blob.Ingest, candidates []image.Candidate) {
	t.Helper()
	want := map[digest.Digest]bool{}
	for _, c := range candidates {
		want[c.Image.ID], want[c.Image.Manifest.Digest] = true, true
		for _, l := range c.Image.Layers {
			want[l.Digest] = true
		}
	}
	if got := in.Digests(); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
		t.Errorf("the ingest holds %v\nwant %v", got, slices.Sorted(maps.Keys(want)))
	}
	for d := range want {
		if got := digest.FromString(string(content(t, in, d))); got != d {
			t.Errorf("blob %s has digest %s", d, got)
		}
	}
}

func content(t testing.TB, in *blob.Ingest, d digest.Digest) []byte {
	t.Helper()
	f, err := in.Open(d)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// refs renders the names of candidates, those of one between commas.
func refs(candidates []image.Candidate) string {
	var all []string
	for _, c := range candidates {
		var names []string
		for _, r := range c.Refs {
			names = append(names, r.Familiar())
		}
		all = append(all, strings.Join(names, ","))
	}
	return strings.Join(all, " ")
}
