package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/layer"
)

// docker reads the images of a docker-archive with the manifest.json given.
func (r *reader) docker(ctx context.Context, manifest []byte) ([]image.Candidate, error) {
	entries, err := parseDocker(manifest)
	if err != nil {
		return nil, err
	}
	candidates := make([]image.Candidate, 0, len(entries))
	for _, e := range entries {
		refs, err := e.refs()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", manifestFile, err)
		}
		config, err := r.config(e.Config)
		if err != nil {
			return nil, err
		}
		im, err := r.assemble(ctx, config, e)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", e.Config, err)
		}
		candidates = append(candidates, image.Candidate{Image: im, Refs: refs})
	}
	return merge(candidates), nil
}

// config reads the config in the file name. If the name has a digest, as usual, it is verified.
func (r *reader) config(name string) ([]byte, error) {
	data, err := r.read(name)
	if err != nil {
		return nil, missing(name, err)
	}
	base := strings.TrimSuffix(path.Base(name), ".json")
	want := digest.Digest("sha256:" + strings.TrimPrefix(base, "sha256:"))
	if blob.Validate(want) != nil {
		want = "" // just a name
	}
	if err := blob.Compare(ocispec.Descriptor{Digest: want, Size: -1}, digest.FromBytes(data), int64(len(data))); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}

// assemble takes the layers and the config of a docker-archive's image and makes a manifest for them.
func (r *reader) assemble(ctx context.Context, config []byte, e saved) (image.Image, error) {
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    describe(ocispec.MediaTypeImageConfig, config),
		Layers:    make([]ocispec.Descriptor, 0, len(e.Layers)),
	}
	if err := r.checkDocker(config, e); err != nil {
		return image.Image{}, err
	}
	for i, name := range e.Layers {
		d, err := r.take(ctx, name, ocispec.Descriptor{Size: -1})
		if err == nil {
			d.MediaType, err = r.layerType(d.Digest)
		}
		if err != nil {
			return image.Image{}, fmt.Errorf("layer %d: %w", i+1, err)
		}
		manifest.Layers = append(manifest.Layers, d)
	}
	im, err := finish(ctx, r.in, manifest, config)
	if err != nil {
		return image.Image{}, err
	}
	r.taken[im.ID], r.taken[im.Manifest.Digest] = manifest.Config.Size, im.Manifest.Size
	return im, nil
}

// checkDocker refuses what would only come to light after all layers were read.
func (r *reader) checkDocker(config []byte, e saved) error {
	var c ocispec.Image
	if err := json.Unmarshal(config, &c); err != nil {
		return fmt.Errorf("%s is not the config of an image: %w: %w", e.Config, err, errdefs.ErrInvalidArgument)
	}
	if !r.anyPlatform() && !image.Match(r.want, c.Platform) {
		return r.noPlatform([]image.Platform{c.Platform})
	}
	if len(e.Layers) > image.MaxLayers {
		return fmt.Errorf("it has %d layers, and the kernel's overlayfs stacks at most %d: %w",
			len(e.Layers), image.MaxLayers, errdefs.ErrNotImplemented)
	}
	for _, d := range e.LayerSources {
		if strings.Contains(d.MediaType, ".foreign.") {
			return fmt.Errorf("layer %q is foreign (%q) and not distributed with the image: rebuild the image on another base: %w",
				d.Digest, d.MediaType, errdefs.ErrNotImplemented)
		}
	}
	return nil
}

// layerType returns the media type of the layer d by its first bytes.
func (r *reader) layerType(d digest.Digest) (string, error) {
	f, err := r.in.Open(d)
	if err != nil {
		return "", err
	}
	plain, compression, err := layer.Decompress(f)
	if err == nil {
		err = plain.Close()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	switch compression {
	case layer.Gzip:
		return ocispec.MediaTypeImageLayerGzip, nil
	case layer.Zstd:
		return ocispec.MediaTypeImageLayerZstd, nil
	default:
		return ocispec.MediaTypeImageLayer, nil
	}
}

func describe(mediaType string, content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}
