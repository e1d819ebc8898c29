package archive

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
)

// Limits of indexes within indexes: real ones have one level and some dozens of platforms.
const (
	maxDepth     = 8
	maxPlatforms = 1000
)

// choice is an image of an index.json.
type choice struct {
	manifest  ocispec.Descriptor
	refs      []image.Reference
	published digest.Digest // of the manifest or the index that index.json names
}

// choose decides which manifests to take, given the entries of index.json. Every name is an image.
// Where an entry is an index, or where several entries of one name are for different platforms, it
// takes the one for the platform that is wanted.
func (r *reader) choose(entries []ocispec.Descriptor) ([]choice, error) {
	entries = images(entries)
	if len(entries) == 0 {
		return nil, fmt.Errorf("it lists no image: %w", errdefs.ErrInvalidArgument)
	}
	var order []string
	groups := map[string][]choice{}
	for _, e := range entries {
		ref, err := nameOf(e)
		if err != nil {
			return nil, err
		}
		c := choice{manifest: e, published: e.Digest}
		if !ref.IsZero() {
			c.refs = []image.Reference{ref}
		}
		if groups[ref.String()] == nil {
			order = append(order, ref.String())
		}
		groups[ref.String()] = append(groups[ref.String()], c)
	}
	var chosen []choice
	for _, name := range order {
		picked, err := r.pick(groups[name])
		if err != nil && name != "" {
			err = fmt.Errorf("image %s: %w", name, err)
		}
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, picked...)
	}
	return chosen, nil
}

// images returns entries without what only accompanies images: attestations, and other artifacts
// unless there is nothing else, so that they are refused by name then.
func images(entries []ocispec.Descriptor) []ocispec.Descriptor {
	entries = slices.DeleteFunc(slices.Clone(entries), isAttestation)
	if slices.ContainsFunc(entries, isImage) {
		entries = slices.DeleteFunc(entries, func(d ocispec.Descriptor) bool { return !isImage(d) })
	}
	return entries
}

func isImage(d ocispec.Descriptor) bool { return d.ArtifactType == "" }

// isAttestation knows what BuildKit adds to the images of an index.
func isAttestation(d ocispec.Descriptor) bool {
	return d.Annotations["vnd.docker.reference.type"] == "attestation-manifest" ||
		d.Platform != nil && d.Platform.OS == "unknown" && d.Platform.Architecture == "unknown"
}

// pick chooses among the entries of one name.
func (r *reader) pick(group []choice) ([]choice, error) {
	var manifests, picked []choice
	for _, c := range group {
		index, err := r.isIndex(c.manifest)
		if err != nil {
			return nil, err
		}
		if !index {
			manifests = append(manifests, c)
			continue
		}
		if c.manifest, err = r.pickFrom(c.manifest); err != nil {
			return nil, err
		}
		picked = append(picked, c)
	}
	if len(manifests) == 0 || len(manifests) == 1 && r.anyPlatform() {
		return append(picked, manifests...), nil
	}
	have := make([]image.Platform, 0, len(manifests))
	for _, c := range manifests {
		p, err := r.platform(c.manifest)
		if err != nil {
			return nil, err
		}
		have = append(have, p)
	}
	if r.anyPlatform() && same(have) {
		return append(picked, manifests...), nil
	}
	best := image.Best(r.platformOrHost(), have)
	if best < 0 {
		return nil, r.noPlatform(have)
	}
	for i, c := range manifests {
		if same([]image.Platform{have[best], have[i]}) {
			picked = append(picked, c)
		}
	}
	return picked, nil
}

// isIndex reports whether desc is of an index. Without a media type its content tells.
func (r *reader) isIndex(desc ocispec.Descriptor) (bool, error) {
	if desc.MediaType == ocispec.MediaTypeImageManifest {
		return false, nil
	}
	data, err := r.document(desc)
	if err != nil {
		return false, err
	}
	index, err := image.IsIndex(desc, data)
	if err != nil {
		err = fmt.Errorf("%s: %w", blobName(desc.Digest), err)
	}
	return index, err
}

// pickFrom chooses a manifest of the index that desc describes, and of the indexes in it.
func (r *reader) pickFrom(desc ocispec.Descriptor) (ocispec.Descriptor, error) {
	s := &search{reader: r, seen: map[digest.Digest]bool{}}
	if err := s.collect(desc, maxDepth); err != nil {
		return desc, err
	}
	have := make([]image.Platform, len(s.found))
	for i, m := range s.found {
		if m.Platform != nil {
			have[i] = *m.Platform
		}
	}
	if best := image.Best(r.platformOrHost(), have); best >= 0 {
		return s.found[best], nil
	}
	// Only now the manifests that do not say, for which two blobs each must be read.
	var refused error
	for i, m := range s.found {
		p, err := r.platform(m)
		if err != nil && !errors.Is(err, errdefs.ErrNotImplemented) {
			return desc, err
		}
		have[i], refused = p, errors.Join(refused, err)
	}
	if best := image.Best(r.platformOrHost(), have); best >= 0 {
		return s.found[best], nil
	}
	if refused != nil {
		return desc, refused // there is nothing to run because of that
	}
	return desc, r.noPlatform(have)
}

// search is for the manifests in an index.
type search struct {
	*reader
	found []ocispec.Descriptor
	seen  map[digest.Digest]bool
}

// collect finds the manifests in the index that desc describes, at most depth levels down.
func (s *search) collect(desc ocispec.Descriptor, depth int) error {
	if s.seen[desc.Digest] {
		return nil
	}
	s.seen[desc.Digest] = true
	data, err := s.document(desc)
	if err != nil {
		return err
	}
	index, err := image.ParseIndex(desc, data)
	if err != nil {
		return fmt.Errorf("%s: %w", blobName(desc.Digest), err)
	}
	for _, m := range images(index.Manifests) {
		if saysManifest(m) {
			s.found = append(s.found, m)
			continue
		}
		nested, err := s.isIndex(m)
		switch {
		case err != nil:
			return err
		case !nested:
			s.found = append(s.found, m)
		case depth == 1:
			return fmt.Errorf("%s: indexes are nested more than %d levels deep: %w", blobName(desc.Digest), maxDepth, errdefs.ErrInvalidArgument)
		default:
			if err := s.collect(m, depth-1); err != nil {
				return err
			}
		}
	}
	if len(s.found) > maxPlatforms {
		return fmt.Errorf("%s: more than %d manifests: %w", blobName(desc.Digest), maxPlatforms, errdefs.ErrInvalidArgument)
	}
	return nil
}

// saysManifest reports whether d is of a manifest as far as it says: an archive may lack the blobs of
// platforms that nobody asked for, so they are not looked at without need.
func saysManifest(d ocispec.Descriptor) bool {
	if d.MediaType == ocispec.MediaTypeImageIndex || strings.HasSuffix(d.MediaType, ".manifest.list.v2+json") {
		return false
	}
	return d.MediaType == ocispec.MediaTypeImageManifest || d.Platform != nil && d.Platform.Architecture != ""
}

// platform returns what the image of the manifest desc is for: as desc says, else as its config does.
func (r *reader) platform(desc ocispec.Descriptor) (image.Platform, error) {
	if desc.Platform != nil {
		return *desc.Platform, nil
	}
	im, err := r.parse(desc)
	if err != nil {
		return image.Platform{}, err
	}
	return im.Config.Platform, nil
}

func (r *reader) anyPlatform() bool { return r.want.OS == "" && r.want.Architecture == "" }

func (r *reader) platformOrHost() image.Platform {
	if r.anyPlatform() {
		return image.HostPlatform()
	}
	return r.want
}

// noPlatform is the error for images that are for the platforms have only.
func (r *reader) noPlatform(have []image.Platform) error {
	var list []string
	for _, p := range have {
		if s := image.FormatPlatform(p); !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return fmt.Errorf("no image for %s; there is %s: choose one with --platform: %w",
		image.FormatPlatform(r.platformOrHost()), strings.Join(list, ", "), errdefs.ErrNotFound)
}

// same reports whether all platforms are one.
func same(list []image.Platform) bool {
	return !slices.ContainsFunc(list, func(p image.Platform) bool {
		return !image.Match(p, list[0]) || !image.Match(list[0], p)
	})
}
