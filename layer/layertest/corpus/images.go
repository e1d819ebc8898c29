package corpus

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	lt "github.com/lrun-dev/lrun/layer/layertest"
)

// Image is an archive of an image and what is to become of it when it is read.
type Image struct {
	Name    string
	Archive []byte
	// Layers is how many layers the image has, if it is accepted.
	Layers int
	// Refused is the class of the error, nil when the archive is accepted.
	Refused error
}

// picture is an image while it is made.
type picture struct {
	layers   int
	platform ocispec.Platform
	config   func(*ocispec.Image)
	manifest func(*ocispec.Manifest)
	index    func(*ocispec.Index)
	files    func(map[string]string)
}

// Images returns archives of images for a platform, in the form of OCI layouts: liars, and some that are odd. All layers
// are sound.
func Images(platform ocispec.Platform) []Image {
	var all []Image
	add := func(name string, class error, p picture) {
		if p.platform = platform; p.layers == 0 {
			p.layers = 2
		}
		layers := p.layers
		if class != nil {
			layers = 0
		}
		all = append(all, Image{Name: name, Layers: layers, Refused: class, Archive: p.archive()})
	}
	manifests(add)
	configs(add)
	archives(add)
	return all
}

type maker func(name string, class error, p picture)

// manifests lie about what they list.
func manifests(add maker) {
	change := func(name string, class error, change func(*ocispec.Manifest)) {
		add("manifest: "+name, class, picture{manifest: change})
	}
	lost, invalid := errdefs.ErrDataLoss, errdefs.ErrInvalidArgument
	change("as it should be", nil, func(*ocispec.Manifest) {})
	change("layer larger than it is", lost, func(m *ocispec.Manifest) { m.Layers[0].Size++ })
	change("layer smaller than it is", lost, func(m *ocispec.Manifest) { m.Layers[1].Size-- })
	change("layer of negative size", invalid, func(m *ocispec.Manifest) { m.Layers[1].Size = -1 })
	change("layer of an exabyte", lost, func(m *ocispec.Manifest) { m.Layers[1].Size = 1 << 60 })
	change("layer that is not there", lost, func(m *ocispec.Manifest) { m.Layers[1].Digest = digest.FromString("another") })
	change("layer outside", invalid, func(m *ocispec.Manifest) { m.Layers[1].Digest = "sha256:../../../../etc/passwd" })
	change("layer without a digest", invalid, func(m *ocispec.Manifest) { m.Layers[1].Digest = "" })
	change("digest of an unknown kind", invalid, func(m *ocispec.Manifest) { m.Layers[1].Digest = "md5:d41d8cd98f00b204e9800998ecf8427e" })
	change("layers in another order", nil, func(m *ocispec.Manifest) { slices.Reverse(m.Layers) })
	change("a layer less than the config says", invalid, func(m *ocispec.Manifest) { m.Layers = m.Layers[:1] })
	change("a layer more than the config says", invalid, func(m *ocispec.Manifest) { m.Layers = append(m.Layers, m.Layers[0]) })
	change("config smaller than it is", lost, func(m *ocispec.Manifest) { m.Config.Size-- })
	change("config that is a layer", invalid, func(m *ocispec.Manifest) { m.Config.Digest, m.Config.Size = m.Layers[0].Digest, m.Layers[0].Size })
	change("plain layer as gzip", nil, func(m *ocispec.Manifest) { m.Layers[0].MediaType = ocispec.MediaTypeImageLayerGzip })
	change("plain layer as zstd", nil, func(m *ocispec.Manifest) { m.Layers[0].MediaType = ocispec.MediaTypeImageLayerZstd })
	change("layer of Docker's zstd type", nil, func(m *ocispec.Manifest) {
		m.Layers[0].MediaType = "application/vnd.docker.image.rootfs.diff.tar.zstd"
	})
}

// configs lie about the layers.
func configs(add maker) {
	change := func(name string, class error, change func(*ocispec.Image)) {
		add("config: "+name, class, picture{config: change})
	}
	invalid := errdefs.ErrInvalidArgument
	change("DiffID that is a path", invalid, func(c *ocispec.Image) { c.RootFS.DiffIDs[1] = "sha256:../../../../etc/passwd" })
	change("no DiffIDs", invalid, func(c *ocispec.Image) { c.RootFS.DiffIDs = nil })
	change("history longer than the layers", nil, func(c *ocispec.Image) {
		c.History = slices.Repeat([]ocispec.History{{CreatedBy: "step"}}, 9)
	})
	change("history shorter than the layers", nil, func(c *ocispec.Image) { c.History = []ocispec.History{{CreatedBy: "step", EmptyLayer: true}} })
	add("config: 130 layers", nil, picture{layers: 130})
	add("config: 500 layers", nil, picture{layers: 500})
	add("config: 501 layers", errdefs.ErrNotImplemented, picture{layers: 501})
	add("config: 600 layers", errdefs.ErrNotImplemented, picture{layers: 600})
}

// archives are spoiled after all digests were taken.
func archives(add maker) {
	change := func(name string, class error, change func(map[string]string)) {
		add("archive: "+name, class, picture{files: change})
	}
	spoil := func(holds string, how func(string) string) func(map[string]string) {
		return func(files map[string]string) {
			for name, content := range files {
				if strings.HasPrefix(name, "blobs/") && strings.Contains(content, holds) {
					files[name] = how(content)
				}
			}
		}
	}
	cut := func(s string) string { return s[:len(s)/2] }
	lost, invalid := errdefs.ErrDataLoss, errdefs.ErrInvalidArgument
	change("layer cut", lost, spoil("content of 0", cut))
	change("layer with a byte changed", lost, spoil("content of 0", func(s string) string { return strings.Replace(s, "content", "kontent", 1) }))
	change("layer and more", lost, spoil("content of 1", func(s string) string { return s + "\x00" }))
	change("config changed", lost, spoil(`"rootfs"`, func(s string) string { return strings.Replace(s, "linux", "Linux", 1) }))
	change("manifest cut", lost, spoil(`"layers":[`, cut))
	change("a blob that nobody needs", nil, func(files map[string]string) { files["blobs/sha256/"+strings.Repeat("0", 64)] = "lie" })
	change("index that is none", invalid, func(files map[string]string) { files["index.json"] = "[]" })
	change("index cut", invalid, func(files map[string]string) { files["index.json"] = cut(files["index.json"]) })
	add("archive: index that lies about the manifest", lost, picture{index: func(i *ocispec.Index) { i.Manifests[0].Size++ }})
	add("archive: index that leads outside", invalid, picture{index: func(i *ocispec.Index) { i.Manifests[0].Digest = "sha256:../../x" }})
}

// archive makes the tar of the layout.
func (p picture) archive() []byte {
	files := map[string]string{"oci-layout": `{"imageLayoutVersion":"1.0.0"}`}
	config := ocispec.Image{Platform: p.platform, RootFS: ocispec.RootFS{Type: "layers"}}
	var m ocispec.Manifest
	m.SchemaVersion, m.MediaType = 2, ocispec.MediaTypeImageManifest
	for i := range p.layers {
		layer := string(lt.Tar(lt.File("n", fmt.Sprint("content of ", i))))
		m.Layers = append(m.Layers, put(files, ocispec.MediaTypeImageLayer, layer))
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromString(layer))
	}
	if p.config != nil {
		p.config(&config)
	}
	m.Config = put(files, ocispec.MediaTypeImageConfig, encode(config))
	if p.manifest != nil {
		p.manifest(&m)
	}
	var index ocispec.Index
	index.SchemaVersion = 2
	index.Manifests = []ocispec.Descriptor{put(files, ocispec.MediaTypeImageManifest, encode(m))}
	if p.index != nil {
		p.index(&index)
	}
	files["index.json"] = encode(index)
	if p.files != nil {
		p.files(files)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(files[name]))})
		if err == nil {
			_, err = w.Write([]byte(files[name]))
		}
		if err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// put adds a blob to files and describes it.
func put(files map[string]string, mediaType, content string) ocispec.Descriptor {
	d := digest.FromString(content)
	files["blobs/sha256/"+d.Encoded()] = content
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
