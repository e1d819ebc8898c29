package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"runtime"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/archive/tree"
	"github.com/lrun-dev/lrun/image/blob"
)

// layout reads the images of an OCI layout with the index.json given. manifest is the manifest.json
// beside it, which docker save writes for older readers, or nil.
func (r *reader) layout(ctx context.Context, index, manifest []byte) ([]image.Candidate, error) {
	if err := r.checkVersion(); err != nil {
		return nil, err
	}
	top, err := image.ParseIndex(ocispec.Descriptor{Digest: digest.FromBytes(index), Size: int64(len(index))}, index)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", indexFile, err)
	}
	if len(top.Manifests) == 0 && manifest != nil {
		return r.docker(ctx, manifest)
	}
	chosen, err := r.choose(top.Manifests)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", indexFile, err)
	}
	candidates := make([]image.Candidate, 0, len(chosen))
	for _, c := range chosen {
		im, err := r.image(ctx, c.manifest)
		if err != nil {
			return nil, err
		}
		candidates = append(candidates, image.Candidate{Image: im, Refs: c.refs, RepoDigest: c.published})
	}
	candidates = merge(candidates)
	return candidates, addDockerNames(candidates, manifest)
}

// checkVersion refuses layouts of another version. A missing oci-layout is forgiven: index.json is there.
func (r *reader) checkVersion() error {
	data, err := r.read(layoutFile)
	if errors.Is(err, errdefs.ErrNotFound) {
		return nil
	}
	var l ocispec.ImageLayout
	if err == nil {
		if err = json.Unmarshal(data, &l); err != nil {
			err = fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
		}
	}
	if err == nil && l.Version != ocispec.ImageLayoutVersion {
		err = fmt.Errorf("version %q is not supported, only %s: %w", l.Version, ocispec.ImageLayoutVersion, errdefs.ErrNotImplemented)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", layoutFile, err)
	}
	return nil
}

// image takes the image of the manifest that desc describes.
func (r *reader) image(ctx context.Context, desc ocispec.Descriptor) (image.Image, error) {
	im, err := r.parse(desc)
	if err != nil {
		return im, err
	}
	if err := r.takeLayers(ctx, im); err != nil {
		return im, err
	}
	for _, d := range []ocispec.Descriptor{im.Manifest, {Digest: im.ID, Size: int64(len(im.RawConfig))}} {
		if _, err := r.take(ctx, r.locate(d), ocispec.Descriptor{Digest: d.Digest, Size: d.Size}); err != nil {
			return im, err
		}
	}
	return im, nil
}

// takeLayers takes the layers of an image, from a directory as many at once as there are CPUs.
func (r *reader) takeLayers(ctx context.Context, im image.Image) error {
	sizes := make([]int64, len(im.Layers))
	g, all := errgroup.WithContext(ctx)
	g.SetLimit(1)
	if _, many := r.files.(*tree.Directory); many {
		g.SetLimit(runtime.GOMAXPROCS(0))
	}
	begun := map[digest.Digest]bool{}
	for i, d := range im.Layers {
		if _, taken := r.taken[d.Digest]; taken || begun[d.Digest] {
			continue
		}
		begun[d.Digest] = true
		g.Go(func() error {
			name := r.locate(d)
			got, err := r.files.Take(all, name, ocispec.Descriptor{Digest: d.Digest, Size: d.Size})
			if sizes[i] = got.Size; err != nil {
				return fmt.Errorf("layer %d of image %s: %w", i+1, im.ID, missing(name, err))
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, d := range im.Layers {
		if begun[d.Digest] && r.taken[d.Digest] == 0 {
			r.taken[d.Digest] = sizes[i]
		}
		if err := blob.Compare(d, d.Digest, r.taken[d.Digest]); err != nil {
			return fmt.Errorf("layer %d of image %s: %w", i+1, im.ID, missing(blobName(d.Digest), err))
		}
	}
	return nil
}

// parse reads the manifest that desc describes and its config.
func (r *reader) parse(desc ocispec.Descriptor) (image.Image, error) {
	data, err := r.document(desc)
	if err != nil {
		return image.Image{}, err
	}
	m, err := image.ParseManifest(desc, data)
	if err != nil {
		return image.Image{}, fmt.Errorf("%s: %w", blobName(desc.Digest), err)
	}
	config, err := r.document(m.Config)
	if err != nil {
		return image.Image{}, err
	}
	im, err := image.ParseImage(ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}, data, config)
	if err != nil {
		return image.Image{}, fmt.Errorf("%s: %w", blobName(m.Config.Digest), err)
	}
	return im, nil
}

// document reads the blob of a manifest, an index or a config. It is not verified yet.
func (r *reader) document(desc ocispec.Descriptor) ([]byte, error) {
	if err := blob.Validate(desc.Digest); err != nil {
		return nil, fmt.Errorf("digest %q: %w", desc.Digest, err)
	}
	data, err := r.read(r.locate(desc))
	if err != nil {
		return nil, missing(blobName(desc.Digest), err)
	}
	return data, nil
}

// blobName returns the file of blob d, which is valid.
func blobName(d digest.Digest) string {
	return path.Join(ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}
