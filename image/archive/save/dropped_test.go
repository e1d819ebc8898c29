package save_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/archive/save"
	lt "github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/layer/manifest"
	"github.com/lrun-dev/lrun/layer/split"
)

// droppedImage stores an image of three layers, a plain one, a compressed one, and another compressed one, and drops the blobs
// of the first two. It returns the tar of each.
func (s store) droppedImage(layerType string) (image.Image, [][]byte) {
	s.t.Helper()
	tars := [][]byte{lt.Tar(lt.File("a", "aa")), lt.Tar(lt.File("b", "bb")), lt.Tar(lt.File("c", "cc"))}
	config := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, RootFS: ocispec.RootFS{Type: "layers"}}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Annotations: map[string]string{"k": "v"}}
	for i, tar := range tars {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(tar))
		mediaType, content := ocispec.MediaTypeImageLayer, tar
		if i > 0 {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			if _, err := z.Write(tar); err != nil || z.Close() != nil {
				s.t.Fatal(err)
			}
			mediaType, content = layerType, b.Bytes()
		}
		m.Layers = append(m.Layers, s.put(mediaType, content))
	}
	m.Layers[1].Annotations = map[string]string{"of": "the blob"}
	raw := marshal(s.t, config)
	m.Config = s.put(ocispec.MediaTypeImageConfig, raw)
	doc := append(marshal(s.t, m)[:1:1], append([]byte(`"unknown":[1,2],`), marshal(s.t, m)[1:]...)...)
	im, err := image.ParseImage(s.put(m.MediaType, doc), doc, raw)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range 2 {
		s.drop(im, i, tars[i], lt.File(string(rune('a'+i)), strings.Repeat(string(rune('a'+i)), 2)))
	}
	return im, tars
}

// drop drops the blob of a layer that has one file.
func (s store) drop(im image.Image, layer int, tar []byte, file lt.Entry) {
	s.t.Helper()
	dir := s.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, file.Header.Name), []byte(file.Body), 0o600); err != nil {
		s.t.Fatal(err)
	}
	f, err := os.Open(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	var m, data bytes.Buffer
	w := manifest.NewWriter(&m, manifest.Directory)
	if err := manifest.WriteDirectory(s.t.Context(), w, f, nil); err != nil || w.Close() != nil {
		s.t.Fatal(err)
	}
	r, err := manifest.NewReader(&m)
	if err != nil {
		s.t.Fatal(err)
	}
	x, err := split.NewIndex(r)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := split.Write(s.t.Context(), &data, bytes.NewReader(tar), x); err != nil {
		s.t.Fatal(err)
	}
	path := filepath.Join(s.t.TempDir(), split.FileName)
	if err := os.WriteFile(path, data.Bytes(), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if s.tars[layer], err = split.NewSource(s.t.Context(), path, dir); err != nil {
		s.t.Fatal(err)
	}
	if err := s.Remove(im.Layers[layer].Digest); err != nil {
		s.t.Fatal(err)
	}
}

func TestDropped(t *testing.T) {
	for layerType, plain := range map[string]string{
		ocispec.MediaTypeImageLayerGzip:                     ocispec.MediaTypeImageLayer,
		ocispec.MediaTypeImageLayerZstd:                     ocispec.MediaTypeImageLayer,
		"application/vnd.docker.image.rootfs.diff.tar.gzip": "application/vnd.docker.image.rootfs.diff.tar",
		"application/vnd.docker.image.rootfs.diff.tar.zstd": "application/vnd.docker.image.rootfs.diff.tar",
	} {
		for _, f := range []save.Format{save.Docker, save.OCI} {
			t.Run(layerType, func(t *testing.T) {
				s := newStore(t)
				im, tars := s.droppedImage(layerType)
				var out bytes.Buffer
				var now []digest.Digest
				err := save.Write(t.Context(), &out, s, []save.Entry{{Image: im, Refs: names(t, "app:1")}}, save.Options{Format: f, Changed: func(of image.Image, d digest.Digest) {
					if of.Manifest.Digest != im.Manifest.Digest {
						t.Errorf("the image that is told is %s", of.Manifest.Digest)
					}
					now = append(now, d)
				}})
				if err != nil || len(now) != 1 || now[0] == im.Manifest.Digest {
					t.Fatalf("%v, %v", now, err)
				}
				files := members(t, out.Bytes())
				at := func(d digest.Digest) string { return files["blobs/sha256/"+d.Encoded()] }
				for i, want := range []string{string(tars[0]), string(tars[1])} {
					if at(digest.FromBytes(tars[i])) != want {
						t.Errorf("layer %d is not in the archive byte for byte", i)
					}
				}
				var m ocispec.Manifest
				if err := json.Unmarshal([]byte(at(now[0])), &m); err != nil || digest.FromString(at(now[0])) != now[0] {
					t.Fatalf("manifest %q: %v", at(now[0]), err)
				}
				same := func(a, b ocispec.Descriptor) bool {
					return a.Digest == b.Digest && a.Size == b.Size && a.MediaType == b.MediaType && len(a.Annotations) == 0
				}
				want := []ocispec.Descriptor{im.Layers[0], {MediaType: plain, Digest: digest.FromBytes(tars[1]), Size: int64(len(tars[1]))}, im.Layers[2]}
				if m.Config.Digest != im.ID || !slices.EqualFunc(m.Layers, want, same) || m.Annotations["k"] != "v" || !strings.Contains(at(now[0]), `"unknown":[1,2]`) {
					t.Errorf("manifest %s", at(now[0]))
				}
				if at(im.Manifest.Digest) != "" || !strings.Contains(files["index.json"], now[0].String()) {
					t.Error("the old manifest is named, or in the archive")
				}
				if f == save.Docker && !strings.Contains(files["manifest.json"], digest.FromBytes(tars[1]).Encoded()) {
					t.Errorf("manifest.json %s", files["manifest.json"])
				}
			})
		}
	}
}

// A plain layer can be made again with its digest, so that nothing changes.
func TestDroppedPlain(t *testing.T) {
	s := newStore(t)
	im := s.image("base")
	before := write(t, s, save.Docker, save.Entry{Image: im})
	tar := members(t, before)["blobs/sha256/"+im.Layers[0].Digest.Encoded()]
	s.drop(im, 0, []byte(tar), lt.File("file", "base"))
	var out bytes.Buffer
	err := save.Write(t.Context(), &out, s, []save.Entry{{Image: im}}, save.Options{Changed: func(image.Image, digest.Digest) { t.Error("told that it changed") }})
	if err != nil || !bytes.Equal(out.Bytes(), before) {
		t.Errorf("another archive, %v", err)
	}
}

func TestDroppedWithoutManifest(t *testing.T) {
	s := newStore(t)
	im, _ := s.droppedImage(ocispec.MediaTypeImageLayerGzip)
	if err := s.Remove(im.Manifest.Digest); err != nil {
		t.Fatal(err)
	}
	if err := save.Write(t.Context(), io.Discard, s, []save.Entry{{Image: im}}, save.Options{}); !errdefs.IsDataLoss(err) {
		t.Errorf("got %v", err)
	}
}
