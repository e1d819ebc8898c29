package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/layer"
)

func ExampleParseImage() {
	config := []byte(`{"architecture":"amd64","os":"linux","config":{"Cmd":["/bin/sh"]},"rootfs":{"type":"layers","diff_ids":["` + sha256 + `"]}}`)
	manifest, _ := json.Marshal(ocispec.Manifest{
		Config: describe(ocispec.MediaTypeImageConfig, config),
		Layers: []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: sha256, Size: 10}},
	})
	im, err := ParseImage(describe(ocispec.MediaTypeImageManifest, manifest), manifest, config)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(im.ID == digest.FromBytes(config), len(im.Layers), im.Config.Config.Cmd, FormatPlatform(*im.Manifest.Platform))
	// Output: true 1 [/bin/sh] linux/amd64
}

// edit changes the decoded JSON data by set, which has dots between members and JSON as values; a
// value of "" removes the member.
func edit(t testing.TB, data []byte, set map[string]string) []byte {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	for path, value := range set {
		names := strings.Split(path, ".")
		at := v
		for _, n := range names[:len(names)-1] {
			at = at[n].(map[string]any)
		}
		var x any
		if value == "" {
			delete(at, names[len(names)-1])
			continue
		}
		if err := json.Unmarshal([]byte(value), &x); err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		at[names[len(names)-1]] = x
	}
	return toJSON(t, v)
}

// documents returns the manifest and the config of an image with the layers given.
func documents(t testing.TB, layers ...string) (manifest, config []byte) {
	t.Helper()
	_, blobs := testImage(t, "a", layers...)
	return blobs[len(blobs)-1], blobs[len(blobs)-2]
}

// parseEdited parses an image whose config and manifest were edited.
func parseEdited(t testing.TB, mediaType string, manifest, config []byte, inManifest, inConfig map[string]string) (Image, error) {
	t.Helper()
	config = edit(t, config, inConfig)
	fixed := map[string]string{"config.digest": `"` + digest.FromBytes(config).String() + `"`, "config.size": fmt.Sprint(len(config))}
	manifest = edit(t, edit(t, manifest, fixed), inManifest)
	return ParseImage(describe(mediaType, manifest), manifest, config)
}

func TestParseImageAccepts(t *testing.T) {
	manifest, config := documents(t, "one", "two")
	layer := func(mediaType string) string {
		d := toJSON(t, ocispec.Descriptor{MediaType: mediaType, Digest: sha256, Size: 3})
		return fmt.Sprintf("[%s,%s]", d, d)
	}
	for _, c := range []struct {
		title, mediaType   string
		manifest, ofConfig map[string]string
	}{
		{"plain", ocispec.MediaTypeImageManifest, nil, nil},
		{"no media type in the manifest", ocispec.MediaTypeImageManifest, map[string]string{"mediaType": ""}, nil},
		{"no media type in the descriptor", "", nil, nil},
		{"no media type at all", "", map[string]string{"mediaType": ""}, nil},
		{"docker", dockerManifest, map[string]string{"mediaType": `"` + dockerManifest + `"`, "config.mediaType": `"` + dockerConfig + `"`}, nil},
		{"gzip", ocispec.MediaTypeImageManifest, map[string]string{"layers": layer(ocispec.MediaTypeImageLayerGzip)}, nil},
		{"zstd", ocispec.MediaTypeImageManifest, map[string]string{"layers": layer(ocispec.MediaTypeImageLayerZstd)}, nil},
		{"docker tar", ocispec.MediaTypeImageManifest, map[string]string{"layers": layer("application/vnd.docker.image.rootfs.diff.tar")}, nil},
		{"docker gzip", ocispec.MediaTypeImageManifest, map[string]string{"layers": layer("application/vnd.docker.image.rootfs.diff.tar.gzip")}, nil},
		{"docker zstd", ocispec.MediaTypeImageManifest, map[string]string{"layers": layer("application/vnd.docker.image.rootfs.diff.tar.zstd")}, nil},
		{"a layer twice", ocispec.MediaTypeImageManifest, nil, map[string]string{"rootfs.diff_ids": `["` + sha256 + `","` + sha256 + `"]`}},
		{"history too long", ocispec.MediaTypeImageManifest, nil, map[string]string{"history": `[{},{"empty_layer":true},{},{},{}]`}},
		{"history too short", ocispec.MediaTypeImageManifest, nil, map[string]string{"history": `[{"created_by":"x"}]`}},
		{"no layers", ocispec.MediaTypeImageManifest, map[string]string{"layers": "[]"}, map[string]string{"rootfs.diff_ids": "[]"}},
		{"no system", ocispec.MediaTypeImageManifest, nil, map[string]string{"os": "", "architecture": ""}},
		{"extensions", ocispec.MediaTypeImageManifest, map[string]string{"x": "1"}, map[string]string{"x": "1", "config": `{"Healthcheck":{"Test":["NONE"]},"OnBuild":["RUN x"]}`}},
	} {
		t.Run(c.title, func(t *testing.T) {
			im, err := parseEdited(t, c.mediaType, manifest, config, c.manifest, c.ofConfig)
			if err != nil {
				t.Fatal(err)
			}
			if im.ID != digest.FromBytes(im.RawConfig) || len(im.Layers) != len(im.Config.RootFS.DiffIDs) || im.Manifest.MediaType == "" {
				t.Errorf("got %+v", im)
			}
		})
	}
}

func TestParseImageKeepsHistory(t *testing.T) {
	manifest, config := documents(t, "one")
	im, err := parseEdited(t, "", manifest, config, nil, map[string]string{"history": `[{"created_by":"ADD"},{"created_by":"CMD","empty_layer":true}]`})
	want := []ocispec.History{{CreatedBy: "ADD"}, {CreatedBy: "CMD", EmptyLayer: true}}
	if err != nil || !reflect.DeepEqual(im.Config.History, want) {
		t.Errorf("history = %+v, %v", im.Config.History, err)
	}
}

func TestParseImageRefuses(t *testing.T) {
	manifest, config := documents(t, "one", "two")
	layers := func(mediaType string) map[string]string {
		d := toJSON(t, ocispec.Descriptor{MediaType: mediaType, Digest: sha256, Size: 3})
		return map[string]string{"layers": fmt.Sprintf("[%s,%s]", d, d)}
	}
	for _, c := range []struct {
		title              string
		manifest, ofConfig map[string]string
		class              error
		says               string
	}{
		{"index", map[string]string{"mediaType": `"` + ocispec.MediaTypeImageIndex + `"`, "manifests": "[]", "config": "", "layers": ""}, nil, errdefs.ErrInvalidArgument, "index of several images"},
		{"both", map[string]string{"manifests": "[]"}, nil, errdefs.ErrInvalidArgument, "do not fit"},
		{"neither", map[string]string{"config": "", "layers": ""}, nil, errdefs.ErrInvalidArgument, "do not fit"},
		{"schema 3", map[string]string{"schemaVersion": "3"}, nil, errdefs.ErrNotImplemented, "schemaVersion 3 is not supported; lrun knows 2"},
		{"schema 1", map[string]string{"schemaVersion": "1"}, nil, errdefs.ErrNotImplemented, "skopeo copy"},
		{"schema 1 layers", map[string]string{"fsLayers": "[]"}, nil, errdefs.ErrNotImplemented, "skopeo copy"},
		{"schema 1 type", map[string]string{"mediaType": `"` + dockerSchema1WS + `"`}, nil, errdefs.ErrNotImplemented, "skopeo copy"},
		{"unknown type", map[string]string{"mediaType": `"text/html"`}, nil, errdefs.ErrNotImplemented, `"text/html"`},
		{"artifact", map[string]string{"config.mediaType": `"application/vnd.cncf.helm.config.v1+json"`}, nil, errdefs.ErrNotImplemented, "helm.config"},
		{"artifact by type", map[string]string{"config.mediaType": `"application/vnd.oci.empty.v1+json"`, "artifactType": `"text/x-sbom"`}, nil, errdefs.ErrNotImplemented, "text/x-sbom"},
		{"encrypted layer", layers("application/vnd.oci.image.layer.v1.tar+gzip+encrypted"), nil, errdefs.ErrNotImplemented, "decrypt"},
		{"foreign layer", layers("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"), nil, errdefs.ErrNotImplemented, "foreign"},
		{"non-distributable layer", layers("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"), nil, errdefs.ErrNotImplemented, "not distributed"},
		{"attestation", layers("application/vnd.in-toto+json"), nil, errdefs.ErrNotImplemented, "in-toto"},
		{"nydus", layers("application/vnd.oci.image.layer.nydus.blob.v1"), nil, errdefs.ErrNotImplemented, "nydus"},
		{"xz", layers("application/vnd.oci.image.layer.v1.tar+xz"), nil, errdefs.ErrNotImplemented, "tar+xz"},
		{"bad layer digest", map[string]string{"layers": `[{"mediaType":"` + ocispec.MediaTypeImageLayer + `","digest":"sha256:../x","size":1}]`}, nil, errdefs.ErrInvalidArgument, "layer 1"},
		{"negative size", map[string]string{"layers": `[{"mediaType":"` + ocispec.MediaTypeImageLayer + `","digest":"` + sha256 + `","size":-1}]`}, nil, errdefs.ErrInvalidArgument, "size -1"},
		{"layers of another shape", map[string]string{"layers": `{}`}, nil, errdefs.ErrInvalidArgument, ""},
		{"fewer layers", map[string]string{"layers": "[]"}, nil, errdefs.ErrInvalidArgument, "0 layers, but its config 2 DiffIDs"},
		{"rootfs type", nil, map[string]string{"rootfs.type": `"layers+base"`}, errdefs.ErrInvalidArgument, "layers+base"},
		{"no rootfs", nil, map[string]string{"rootfs": ""}, errdefs.ErrInvalidArgument, "not the config of an image"},
		{"DiffID", nil, map[string]string{"rootfs.diff_ids": `["` + sha256 + `","x"]`}, errdefs.ErrInvalidArgument, "DiffID 2"},
		{"windows", nil, map[string]string{"os": `"windows"`}, errdefs.ErrNotImplemented, "windows/"},
		{"config of another shape", nil, map[string]string{"config": `[]`}, errdefs.ErrInvalidArgument, "not the config"},
		{"config digest", map[string]string{"config.digest": `"` + sha256 + `"`}, nil, errdefs.ErrDataLoss, sha256},
		{"config size", map[string]string{"config.size": `7`}, nil, errdefs.ErrDataLoss, "expected 7 bytes"},
	} {
		t.Run(c.title, func(t *testing.T) {
			im, err := parseEdited(t, "", manifest, config, c.manifest, c.ofConfig)
			if !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %+v, %v; want %v with %q", im, err, c.class, c.says)
			}
		})
	}
}

func TestParseManifestDescriptor(t *testing.T) {
	manifest, _ := documents(t, "one")
	good := describe(ocispec.MediaTypeImageManifest, manifest)
	for _, c := range []struct {
		title string
		data  []byte
		edit  func(*ocispec.Descriptor)
		class error
	}{
		{"digest", manifest, func(d *ocispec.Descriptor) { d.Digest = sha256 }, errdefs.ErrDataLoss},
		{"size", manifest, func(d *ocispec.Descriptor) { d.Size++ }, errdefs.ErrDataLoss},
		{"no digest", manifest, func(d *ocispec.Descriptor) { d.Digest = "" }, errdefs.ErrInvalidArgument},
		{"contradiction", manifest, func(d *ocispec.Descriptor) { d.MediaType = dockerManifest }, errdefs.ErrInvalidArgument},
		{"not JSON", []byte("<html>"), func(d *ocispec.Descriptor) { *d = describe(d.MediaType, []byte("<html>")) }, errdefs.ErrInvalidArgument},
		{"not an object", []byte("[]"), func(d *ocispec.Descriptor) { *d = describe(d.MediaType, []byte("[]")) }, errdefs.ErrInvalidArgument},
	} {
		t.Run(c.title, func(t *testing.T) {
			d := good
			c.edit(&d)
			if _, err := ParseManifest(d, c.data); !errors.Is(err, c.class) {
				t.Errorf("got %v, want %v", err, c.class)
			}
			var m *blob.Mismatch
			if _, err := ParseManifest(d, c.data); errors.As(err, &m) != errors.Is(c.class, errdefs.ErrDataLoss) {
				t.Errorf("%v is, or is not, a mismatch", err)
			}
		})
	}
	large := append(manifest, []byte(strings.Repeat(" ", MaxDocument))...)
	if _, err := ParseManifest(describe("", large), large); !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), "4 MiB") {
		t.Errorf("a large manifest: %v", err)
	}
}

func TestLayersOfAnImageAreLimited(t *testing.T) {
	for _, n := range []int{MaxLayers, MaxLayers + 1} {
		layers := make([]string, n)
		for i := range layers {
			layers[i] = fmt.Sprint(i)
		}
		descriptors := make([]ocispec.Descriptor, n)
		for i := range layers {
			descriptors[i] = describe(ocispec.MediaTypeImageLayer, []byte(layers[i]))
		}
		manifest, config := documents(t)
		im, err := parseEdited(t, "", manifest, config, map[string]string{"layers": string(toJSON(t, descriptors))}, map[string]string{
			"rootfs.diff_ids": `["` + sha256 + `"` + strings.Repeat(`,"`+sha256+`"`, n-1) + `]`,
		})
		if n == MaxLayers && (err != nil || len(im.Layers) != n) {
			t.Errorf("%d layers: %v", n, err)
		}
		if n > MaxLayers && (!errors.Is(err, errdefs.ErrNotImplemented) || !strings.Contains(err.Error(), "overlayfs stacks at most 500")) {
			t.Errorf("%d layers: %v", n, err)
		}
	}
}

func TestChainIDs(t *testing.T) {
	im, _ := testImage(t, "a", "one", "two", "one")
	got := im.ChainIDs()
	if len(got) != 3 || got[0] != digest.FromString("one") || got[2] != layer.ChainID(im.Config.RootFS.DiffIDs) {
		t.Errorf("ChainIDs = %v", got)
	}
}

func TestParseIndex(t *testing.T) {
	manifest, _ := documents(t, "one")
	index := toJSON(t, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{describe("", manifest)}})
	got, err := ParseIndex(describe(ocispec.MediaTypeImageIndex, index), index)
	if err != nil || len(got.Manifests) != 1 || got.Manifests[0].Digest != digest.FromBytes(manifest) {
		t.Errorf("ParseIndex = %+v, %v", got, err)
	}
	list := edit(t, index, map[string]string{"mediaType": `"` + dockerIndex + `"`})
	if got, err := ParseIndex(describe(dockerIndex, list), list); err != nil || len(got.Manifests) != 1 {
		t.Errorf("ParseIndex of Docker's = %+v, %v", got, err)
	}
	for title, data := range map[string][]byte{
		"a manifest": manifest, "shape": []byte(`{"manifests":1}`), "both": []byte(`{"manifests":[],"layers":[]}`), "nothing": []byte(`{}`), "null": []byte("null"),
	} {
		if got, err := ParseIndex(describe("", data), data); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%s: %+v, %v", title, got, err)
		}
	}
	for _, data := range []string{`{"manifests":[]}`, `{"schemaVersion":0,"manifests":[]}`, `{"schemaVersion":3,"manifests":[]}`, `{"schemaVersion":3}`, `{"schemaVersion":-2,"manifests":[]}`} {
		got, err := ParseIndex(describe("", []byte(data)), []byte(data))
		if !errors.Is(err, errdefs.ErrNotImplemented) || !strings.Contains(err.Error(), "is not supported; lrun knows 2") {
			t.Errorf("%s: %+v, %v", data, got, err)
		}
	}
	for title, want := range map[string]bool{"index": true, "manifest": false} {
		data := map[string][]byte{"index": index, "manifest": manifest}[title]
		if got, err := IsIndex(describe("", data), data); err != nil || got != want {
			t.Errorf("IsIndex(%s) = %v, %v", title, got, err)
		}
	}
}
