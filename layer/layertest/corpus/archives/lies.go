package archives

import (
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

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
	add("manifest: layers in another order", nil, picture{unpacked: lost, manifest: func(m *ocispec.Manifest) { slices.Reverse(m.Layers) }})
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
	change("DiffID of sha512", errdefs.ErrNotImplemented, func(c *ocispec.Image) { c.RootFS.DiffIDs[1] = digest.SHA512.FromString("content") })
	change("system with a line break", errdefs.ErrNotImplemented, func(c *ocispec.Image) { c.OS = "win\nlrun: forged" })
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

// spoiled are archives that were spoiled after all digests were taken.
func spoiled(add maker) {
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
	add("archive: index of another version", errdefs.ErrNotImplemented, picture{index: func(i *ocispec.Index) { i.SchemaVersion = 3 }})
	add("archive: index that leads outside", invalid, picture{index: func(i *ocispec.Index) { i.Manifests[0].Digest = "sha256:../../x" }})
}
