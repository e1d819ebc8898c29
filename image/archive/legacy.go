package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/archive/tree"
	"github.com/lrun-dev/lrun/layer"
)

// v1Image is what ID/json of an archive of Docker before 1.10 says about one layer: there every layer
// was an image of its own, and the topmost one had the config of all.
type v1Image struct {
	Parent          string     `json:"parent"`
	Created         *time.Time `json:"created"`
	Author          string     `json:"author"`
	Comment         string     `json:"comment"`
	ContainerConfig struct {
		Cmd []string
	} `json:"container_config"`
}

// legacy reads the images of a docker-archive that has only the file repositories: names by
// repository and tag, and the ids of their topmost layers.
func (r *reader) legacy(ctx context.Context, repositories []byte) ([]image.Candidate, error) {
	var tags map[string]map[string]string
	if err := json.Unmarshal(repositories, &tags); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", repositoriesFile, err, errdefs.ErrInvalidArgument)
	}
	names := map[string][]string{} // by id
	for _, repository := range slices.Sorted(maps.Keys(tags)) {
		for _, tag := range slices.Sorted(maps.Keys(tags[repository])) {
			id := tags[repository][tag]
			names[id] = append(names[id], repository+":"+tag)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: it lists no image: %w", repositoriesFile, errdefs.ErrInvalidArgument)
	}
	var candidates []image.Candidate
	for _, id := range slices.Sorted(maps.Keys(names)) {
		if err := printable(id); err != nil {
			return nil, fmt.Errorf("%s: %w", repositoriesFile, err)
		}
		refs, err := saved{RepoTags: names[id]}.refs()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", repositoriesFile, err)
		}
		im, err := r.legacyImage(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", id, err)
		}
		candidates = append(candidates, image.Candidate{Image: im, Refs: refs})
	}
	return merge(candidates), nil
}

// legacyImage takes the image whose topmost layer is id.
func (r *reader) legacyImage(ctx context.Context, id string) (image.Image, error) {
	var (
		top     []byte
		history []ocispec.History
		diffIDs []digest.Digest
		e       = saved{Config: path.Join(id, "json")}
	)
	for at := id; at != ""; {
		name := path.Join(at, "layer.tar")
		switch {
		case slices.Contains(e.Layers, name):
			return image.Image{}, fmt.Errorf("layer %q is among its own parents: %w", at, errdefs.ErrInvalidArgument)
		case len(e.Layers) > image.MaxLayers:
			return image.Image{}, fmt.Errorf("it has more than %d layers, which is what the kernel's overlayfs stacks: %w",
				image.MaxLayers, errdefs.ErrNotImplemented)
		}
		v1, data, err := r.v1(at)
		if err != nil {
			return image.Image{}, err
		}
		if top == nil {
			top = data
		}
		diffID, err := r.diffID(ctx, name)
		if err != nil {
			return image.Image{}, err
		}
		e.Layers = append(e.Layers, name)
		diffIDs = append(diffIDs, diffID)
		history = append(history, ocispec.History{
			Created: v1.Created, CreatedBy: strings.Join(v1.ContainerConfig.Cmd, " "), Author: v1.Author, Comment: v1.Comment,
		})
		if at = v1.Parent; printable(at) != nil {
			return image.Image{}, fmt.Errorf("%s/json: parent: %w", path.Dir(name), printable(at))
		}
	}
	slices.Reverse(e.Layers)
	slices.Reverse(diffIDs)
	slices.Reverse(history)
	config, err := upgrade(top, diffIDs, history)
	if err != nil {
		return image.Image{}, fmt.Errorf("%s: %w", e.Config, err)
	}
	return r.assemble(ctx, config, e)
}

// v1 reads what the archive says about the layer id.
func (r *reader) v1(id string) (v1 v1Image, data []byte, err error) {
	name := path.Join(id, "json")
	if data, err = r.read(name); err != nil {
		return v1, nil, missing(name, err)
	}
	if err := json.Unmarshal(data, &v1); err != nil {
		return v1, nil, fmt.Errorf("%s: %w: %w", name, err, errdefs.ErrInvalidArgument)
	}
	return v1, data, nil
}

// diffID takes the layer in the file name and returns its DiffID.
func (r *reader) diffID(ctx context.Context, name string) (digest.Digest, error) {
	d, err := r.take(ctx, name, ocispec.Descriptor{Size: -1})
	if err != nil {
		return "", err
	}
	f, err := r.in.Open(d.Digest)
	if err != nil {
		return "", err
	}
	plain, compression, err := layer.Decompress(tree.ContextReader(ctx, f))
	if err != nil {
		return "", errors.Join(err, f.Close())
	}
	diffID := d.Digest
	if compression != layer.None {
		diffID, err = digest.FromReader(plain)
	}
	return diffID, errors.Join(err, plain.Close(), f.Close())
}

// upgrade makes the config of an image out of what was said about its topmost layer. All members that
// still mean something are kept.
func upgrade(top []byte, diffIDs []digest.Digest, history []ocispec.History) ([]byte, error) {
	var config map[string]json.RawMessage
	if err := json.Unmarshal(top, &config); err != nil {
		return nil, fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	if config == nil {
		return nil, fmt.Errorf("it is null: %w", errdefs.ErrInvalidArgument)
	}
	for _, gone := range []string{"id", "parent", "Size", "parent_id", "layer_id", "throwaway"} {
		delete(config, gone)
	}
	if config["os"] == nil {
		config["os"] = json.RawMessage(`"linux"`) // as all images were
	}
	var err error
	if config["rootfs"], err = json.Marshal(ocispec.RootFS{Type: "layers", DiffIDs: diffIDs}); err != nil {
		return nil, err
	}
	if config["history"], err = json.Marshal(history); err != nil {
		return nil, err
	}
	return json.Marshal(config)
}
