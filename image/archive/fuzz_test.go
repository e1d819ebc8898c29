package archive

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
)

// FuzzArchiveIndex reads archives with any manifest.json, index.json, repositories and one more document. Whatever they
// say, an image that comes out is whole, and an error has a class.
func FuzzArchiveIndex(f *testing.F) {
	im := simple(f, "one", "two")
	docker := dockerFiles(f, map[string]fixture{"a:1": im})
	v1 := v1Archive(f)
	other := map[string]string{}
	index := nest(f, other, im.descriptor, im.named(refName, "x"))
	var nested string
	for _, text := range other {
		nested = text
	}
	oci := func(entries ...ocispec.Descriptor) string { return layout(f, entries)["index.json"] }
	for _, seed := range [][4]string{
		{docker["manifest.json"], "", "", ""},
		{"", oci(im.named(refName, "user/app:1")), "", ""},
		{docker["manifest.json"], oci(im.descriptor, im.descriptor), "", ""},
		{"", oci(index, im.descriptor), "", nested},
		{"", oci(index), "", im.config},
		{"", "", v1["repositories"], v1["top/json"]},
		{"[]", `{"schemaVersion":2,"manifests":[]}`, "{}", "null"},
		{"[null]", `{"schemaVersion":2,"manifests":[null]}`, `{"a":{"b":"c"}}`, "[]"},
		{"", `{"schemaVersion":2,"manifests":[{"mediaType":"","digest":"` + im.manifest.String() + `","size":-1,"platform":{}}]}`, "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, manifest, index, repositories, document string) {
		files := map[string]string{}
		for _, all := range []map[string]string{im.blobs, docker, v1} {
			maps.Copy(files, all)
		}
		if document != "" {
			files[blobName(describe("", []byte(document)).Digest)], files["document/json"] = document, document
		}
		for name, text := range map[string]string{"manifest.json": manifest, "index.json": index, "repositories": repositories} {
			if files[name] = text; text == "" {
				delete(files, name)
			}
		}
		in := newIngest(t)
		got, err := readTar(t, in, pack(t, fileList(files)...), Options{})
		if err != nil {
			for _, class := range []error{errdefs.ErrInvalidArgument, errdefs.ErrDataLoss, errdefs.ErrNotFound, errdefs.ErrNotImplemented} {
				if errors.Is(err, class) {
					return
				}
			}
			t.Fatalf("%v has no class", err)
		}
		if len(got) == 0 {
			t.Fatal("neither an image nor an error")
		}
		checkIngest(t, in, got)
		for _, c := range got {
			if len(c.Image.Layers) != len(c.Image.Config.RootFS.DiffIDs) || len(c.Image.Layers) > image.MaxLayers {
				t.Errorf("image %+v", c.Image)
			}
			for _, r := range c.Refs {
				if r.IsZero() || r.Tag() == "" && r.Digest() == "" || strings.HasPrefix(r.String(), "@") {
					t.Errorf("name %q", r)
				}
			}
		}
	})
}
