package archive

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
)

// containerdName is the annotation in which containerd, Docker and BuildKit write the full name.
const containerdName = "io.containerd.image.name"

// nameOf returns the name that an entry of index.json gives its image, or the zero Reference. By the
// specification ref.name may be anything; it is a name here only if it is a reference with a
// repository. A digest in it must be that of the entry.
func nameOf(d ocispec.Descriptor) (image.Reference, error) {
	name := d.Annotations[ocispec.AnnotationRefName]
	if !strings.ContainsAny(name, ":/@") {
		name = "" // a tag of no repository
	}
	if full := d.Annotations[containerdName]; full != "" {
		name = full
	}
	ref, err := image.ParseReference(name)
	switch {
	case err != nil:
		return image.Reference{}, nil //nolint:nilerr // any text is a valid annotation; this one is no name
	case ref.Digest() == "":
		return ref.WithDefaultTag(), nil
	case ref.Digest() != d.Digest:
		return image.Reference{}, fmt.Errorf("entry %s is named %s, with another digest: %w", d.Digest, name, errdefs.ErrInvalidArgument)
	case ref.Tag() == "":
		return ref, nil
	}
	return ref.Repository().WithTag(ref.Tag())
}

// addDockerNames gives candidates without a name the one in manifest.json, if there is one.
func addDockerNames(candidates []image.Candidate, manifest []byte) error {
	unnamed := func(c image.Candidate) bool { return len(c.Refs) == 0 }
	if manifest == nil || !slices.ContainsFunc(candidates, unnamed) {
		return nil
	}
	entries, err := parseDocker(manifest)
	if err != nil {
		return err
	}
	for i, c := range candidates {
		for _, e := range entries {
			if len(c.Refs) > 0 || strings.TrimSuffix(path.Base(e.Config), ".json") != c.Image.ID.Encoded() {
				continue
			}
			if candidates[i].Refs, err = e.refs(); err != nil {
				return fmt.Errorf("%s: %w", manifestFile, err)
			}
			break
		}
	}
	return nil
}

// saved is an image in manifest.json of a docker-archive.
type saved struct {
	Config       string
	RepoTags     []string
	Layers       []string
	LayerSources map[string]ocispec.Descriptor // by DiffID: layers that may not be distributed
}

// parseDocker parses manifest.json.
func parseDocker(data []byte) ([]saved, error) {
	var entries []saved
	if err := json.Unmarshal(data, &entries); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", manifestFile, err, errdefs.ErrInvalidArgument)
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("%s: it lists no image: %w", manifestFile, errdefs.ErrInvalidArgument)
	}
	for i, e := range entries {
		if e.Config == "" {
			return nil, fmt.Errorf("%s: image %d names no config: %w", manifestFile, i+1, errdefs.ErrInvalidArgument)
		}
		for _, name := range append([]string{e.Config}, e.Layers...) {
			if err := printable(name); err != nil {
				return nil, fmt.Errorf("%s: image %d: %w", manifestFile, i+1, err)
			}
		}
	}
	return entries, nil
}

// printable refuses names of files that hold line breaks or what steers a terminal: they are in messages.
func printable(name string) error {
	if strings.ContainsFunc(name, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return fmt.Errorf("the name %q holds what cannot be printed: %w", name, errdefs.ErrInvalidArgument)
	}
	return nil
}

// refs returns the names of the image.
func (s saved) refs() ([]image.Reference, error) {
	var refs []image.Reference
	for _, tag := range s.RepoTags {
		ref, err := image.ParseReference(tag)
		if err == nil && ref.Digest() != "" {
			err = fmt.Errorf("tag %q has a digest: %w", tag, errdefs.ErrInvalidArgument)
		}
		if err != nil {
			return nil, err
		}
		if ref = ref.WithDefaultTag(); !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	return refs, nil
}
