// Package archives is the part of the corpus that is about images: archives that lie, and some that are odd, each with a
// verdict; and archives of the stacks of package corpus. They are the same at every run. It is for tests only.
package archives

import (
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	lt "github.com/lrun-dev/lrun/layer/layertest"
	"github.com/lrun-dev/lrun/layer/layertest/corpus"
)

// Image is an archive of an image and what is to become of it.
type Image struct {
	Name    string
	Archive []byte
	// Layers is how many layers the image has, if it is accepted.
	Layers int
	// Refused is the class of the error with which the archive is read, nil when it is accepted.
	Refused error
	// Unpacked is the class of the error with which an archive that is accepted is unpacked: only the layers themselves
	// tell that it lies. When it is nil the image is the tree Tree, as corpus.Describe tells it.
	Unpacked error
	Tree     []string
	// Docker says that it is a docker-archive; the others are OCI layouts.
	Docker bool
	// Large images take other tools minutes.
	Large bool
}

// picture is an image while it is made.
type picture struct {
	layers   int
	platform ocispec.Platform
	config   func(*ocispec.Image)
	manifest func(*ocispec.Manifest)
	index    func(*ocispec.Index)
	files    func(map[string]string)
	docker   func(*docker)
	unpacked error
}

// All returns archives of images for a platform. All layers are sound, unless it is their archive that was spoiled.
func All(platform ocispec.Platform) []Image {
	var all []Image
	add := func(name string, class error, p picture) {
		if p.platform = platform; p.layers == 0 {
			p.layers = 2
		}
		im := Image{Name: name, Refused: class, Unpacked: p.unpacked, Docker: p.docker != nil, Large: p.layers > 100}
		if im.Docker {
			im.Archive = archive(p.dockerArchive())
		} else {
			im.Archive = archive(p.layout())
		}
		if class == nil {
			im.Layers = p.layers
		}
		if class == nil && im.Unpacked == nil {
			im.Tree = []string{fmt.Sprint("n = content of ", p.layers-1)}
		}
		all = append(all, im)
	}
	manifests(add)
	configs(add)
	spoiled(add)
	dockers(add)
	return all
}

// Tag is what the image of an archive has for a name: a tag without a repository.
const Tag = "latest"

// layout makes the files of the layout of an image.
func (p picture) layout() map[string]string {
	files := newLayout()
	layers, config := p.parts()
	var m ocispec.Manifest
	m.SchemaVersion, m.MediaType = 2, ocispec.MediaTypeImageManifest
	for _, layer := range layers {
		m.Layers = append(m.Layers, put(files, ocispec.MediaTypeImageLayer, layer))
	}
	m.Config = put(files, ocispec.MediaTypeImageConfig, encode(config))
	if p.manifest != nil {
		p.manifest(&m)
	}
	var index ocispec.Index
	index.SchemaVersion = 2
	index.Manifests = []ocispec.Descriptor{put(files, ocispec.MediaTypeImageManifest, encode(m))}
	index.Manifests[0].Annotations = map[string]string{ocispec.AnnotationRefName: Tag}
	if p.index != nil {
		p.index(&index)
	}
	files["index.json"] = encode(index)
	if p.files != nil {
		p.files(files)
	}
	return files
}

// parts are the layers and the config of an image.
func (p picture) parts() (layers []string, config ocispec.Image) {
	config = ocispec.Image{Platform: p.platform, RootFS: ocispec.RootFS{Type: "layers"}}
	for i := range p.layers {
		layer := string(lt.Tar(lt.File("n", fmt.Sprint("content of ", i))))
		layers = append(layers, layer)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromString(layer))
	}
	if p.config != nil {
		p.config(&config)
	}
	return layers, config
}

// Name is the name of the image of the case number i in an archive that Archive makes.
func Name(i int) string { return fmt.Sprint("corpus/case:", i) }

// Archive makes one archive of an image for each of cases, which is named Name of its place in them. The DiffIDs are right
// even where a layer is damaged, lest it be refused for that.
func Archive(platform ocispec.Platform, cases ...corpus.Case) []byte {
	files := newLayout()
	var index ocispec.Index
	index.SchemaVersion = 2
	for i, c := range cases {
		config := ocispec.Image{Platform: platform, RootFS: ocispec.RootFS{Type: "layers"}, Author: c.Name}
		config.RootFS.DiffIDs = []digest.Digest{}
		m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Layers: []ocispec.Descriptor{}}
		m.SchemaVersion = 2
		for _, blob := range c.Layers {
			m.Layers = append(m.Layers, put(files, ocispec.MediaTypeImageLayer, string(blob)))
			config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(corpus.Plain(blob)))
		}
		m.Config = put(files, ocispec.MediaTypeImageConfig, encode(config))
		entry := put(files, ocispec.MediaTypeImageManifest, encode(m))
		entry.Annotations = map[string]string{ocispec.AnnotationRefName: Name(i)}
		index.Manifests = append(index.Manifests, entry)
	}
	files["index.json"] = encode(index)
	return archive(files)
}
