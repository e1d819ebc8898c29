package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image/blob"
)

// MaxDocument is the size in bytes of the largest manifest, index or config that is read, 4 MiB; the
// registries' own limit is the same.
const MaxDocument = 4 << 20

// Docker's media types: image manifest version 2, schema 2. Docker's tar+zstd was never specified,
// but is common.
const (
	dockerManifest  = "application/vnd.docker.distribution.manifest.v2+json"
	dockerIndex     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfig    = "application/vnd.docker.container.image.v1+json"
	dockerLayer     = "application/vnd.docker.image.rootfs.diff.tar"
	dockerSchema1   = "application/vnd.docker.distribution.manifest.v1+json"
	dockerSchema1WS = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// document is what tells manifests and indexes apart.
type document struct {
	SchemaVersion int             `json:"schemaVersion"`
	MediaType     string          `json:"mediaType"`
	Manifests     json.RawMessage `json:"manifests"`
	Config        json.RawMessage `json:"config"`
	Layers        json.RawMessage `json:"layers"`
	FSLayers      json.RawMessage `json:"fsLayers"`
}

// IsIndex verifies that data is what desc describes (*blob.Mismatch otherwise) and reports whether it
// is an index rather than a manifest. Documents that could be taken for both, or contradict their
// descriptor, are errdefs.ErrInvalidArgument; what is neither, such as schema 1, is errdefs.ErrNotImplemented.
func IsIndex(desc ocispec.Descriptor, data []byte) (bool, error) {
	mediaType, err := identify(desc, data)
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == dockerIndex, err
}

// ParseManifest parses the manifest data, which desc describes: see IsIndex for what is checked.
// Beyond that its config must be that of an image and its layers tars that are here to be read:
// artifacts, encrypted layers, layers that may not be distributed and unknown ones are
// errdefs.ErrNotImplemented, and so are more layers than MaxLayers. Whether the media type of a layer
// is right about its compression is not checked; its first bytes tell.
func ParseManifest(desc ocispec.Descriptor, data []byte) (ocispec.Manifest, error) {
	m, err := parseManifest(desc, data)
	if err != nil {
		return ocispec.Manifest{}, fmt.Errorf("parse manifest %s: %w", desc.Digest, err)
	}
	return m, nil
}

func parseManifest(desc ocispec.Descriptor, data []byte) (m ocispec.Manifest, err error) {
	index, err := IsIndex(desc, data)
	if err != nil {
		return m, err
	}
	if index {
		return m, fmt.Errorf("it is an index of several images, not a manifest: %w", errdefs.ErrInvalidArgument)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	if m.MediaType == "" {
		m.MediaType = ocispec.MediaTypeImageManifest
	}
	if m.Config.MediaType != ocispec.MediaTypeImageConfig && m.Config.MediaType != dockerConfig {
		kind := m.Config.MediaType
		if m.ArtifactType != "" {
			kind = m.ArtifactType
		}
		return m, fmt.Errorf("it is not an image but an artifact of type %q: get it with a tool for artifacts, such as oras: %w",
			kind, errdefs.ErrNotImplemented)
	}
	if err := validDescriptor(m.Config); err != nil {
		return m, fmt.Errorf("config: %w", err)
	}
	if len(m.Layers) > MaxLayers {
		return m, fmt.Errorf("it has %d layers, and the kernel's overlayfs stacks at most %d: squash some of them: %w",
			len(m.Layers), MaxLayers, errdefs.ErrNotImplemented)
	}
	for i, l := range m.Layers {
		if err := errors.Join(validDescriptor(l), checkLayerType(l.MediaType)); err != nil {
			return m, fmt.Errorf("layer %d, %s: %w", i+1, l.Digest, err)
		}
	}
	return m, nil
}

// ParseIndex parses the index data, which desc describes: see IsIndex for what is checked.
func ParseIndex(desc ocispec.Descriptor, data []byte) (ocispec.Index, error) {
	var x ocispec.Index
	index, err := IsIndex(desc, data)
	switch {
	case err != nil:
	case !index:
		err = fmt.Errorf("it is a manifest, not an index: %w", errdefs.ErrInvalidArgument)
	default:
		if err = json.Unmarshal(data, &x); err != nil {
			err = fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
		} else if x.SchemaVersion == 0 {
			err = unknownVersion(0) // every tool writes it
		}
	}
	if err != nil {
		return ocispec.Index{}, fmt.Errorf("parse index %s: %w", desc.Digest, err)
	}
	return x, nil
}

// identify verifies data and returns its media type, which is one of a manifest or an index.
func identify(desc ocispec.Descriptor, data []byte) (string, error) {
	if err := verify(desc, data); err != nil {
		return "", err
	}
	var doc document
	if err := json.Unmarshal(data, &doc); err != nil {
		return "", fmt.Errorf("neither a manifest nor an index: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	mediaType := desc.MediaType
	if mediaType == "" {
		mediaType = doc.MediaType
	}
	if mediaType == dockerSchema1 || mediaType == dockerSchema1WS || doc.SchemaVersion == 1 || doc.FSLayers != nil {
		return "", fmt.Errorf("manifests of schema 1 are not supported: convert the image with `skopeo copy --format oci`: %w",
			errdefs.ErrNotImplemented)
	}
	if err := checkVersion(doc.SchemaVersion); err != nil {
		return "", err
	}
	if doc.MediaType != "" && doc.MediaType != mediaType {
		return "", fmt.Errorf("it says that it is %q, but was described as %q: %w", doc.MediaType, mediaType, errdefs.ErrInvalidArgument)
	}
	return doc.decide(mediaType)
}

// schemaVersion is that of all manifests and indexes of OCI and Docker since schema 1.
const schemaVersion = 2

// checkVersion refuses documents of a version that nobody knows how to read. One that says none, 0, is the caller's to judge.
func checkVersion(version int) error {
	if version == 0 || version == schemaVersion {
		return nil
	}
	return unknownVersion(version)
}

func unknownVersion(version int) error {
	return fmt.Errorf("schemaVersion %d is not supported; lrun knows %d: %w", version, schemaVersion, errdefs.ErrNotImplemented)
}

// decide returns mediaType, or what it must be if it is empty, unless the members of the document contradict it.
func (d document) decide(mediaType string) (string, error) {
	index, manifest := d.Manifests != nil, d.Layers != nil || d.Config != nil
	if mediaType == "" {
		mediaType = ocispec.MediaTypeImageManifest
		if index {
			mediaType = ocispec.MediaTypeImageIndex
		}
	}
	ok := false
	switch mediaType {
	case ocispec.MediaTypeImageManifest, dockerManifest:
		ok = manifest && !index
	case ocispec.MediaTypeImageIndex, dockerIndex:
		ok = index && !manifest
	default:
		return "", fmt.Errorf("media type %q is of neither an image nor an index: %w", mediaType, errdefs.ErrNotImplemented)
	}
	if !ok {
		return "", fmt.Errorf("its members do not fit the media type %q: %w", mediaType, errdefs.ErrInvalidArgument)
	}
	return mediaType, nil
}

// checkLayerType returns an error unless mediaType is of a layer that can be unpacked.
func checkLayerType(mediaType string) error {
	base, suffix, _ := strings.Cut(mediaType, "+")
	switch base {
	case ocispec.MediaTypeImageLayer:
		if suffix == "" || suffix == "gzip" || suffix == "zstd" {
			return nil
		}
	case dockerLayer, dockerLayer + ".gzip", dockerLayer + ".zstd":
		if suffix == "" {
			return nil
		}
	}
	switch {
	case strings.Contains(suffix, "encrypted"):
		return fmt.Errorf("the layer is encrypted (%s): decrypt the image first, for example with `skopeo copy --decryption-key`: %w",
			mediaType, errdefs.ErrNotImplemented)
	case strings.Contains(base, ".nondistributable.") || strings.Contains(base, ".foreign."):
		return fmt.Errorf("the layer is foreign (%s) and not distributed with the image: rebuild the image on another base: %w",
			mediaType, errdefs.ErrNotImplemented)
	}
	return fmt.Errorf("the layer has the unsupported media type %q: rebuild the image with tar layers (plain, gzip or zstd): %w",
		mediaType, errdefs.ErrNotImplemented)
}

// validDescriptor returns an error unless d can name a blob.
func validDescriptor(d ocispec.Descriptor) error {
	if err := blob.Validate(d.Digest); err != nil {
		return fmt.Errorf("digest %q: %w", d.Digest, err)
	}
	if d.Size < 0 {
		return fmt.Errorf("size %d: %w", d.Size, errdefs.ErrInvalidArgument)
	}
	return nil
}

// verify returns an error unless data is the document that desc describes.
func verify(desc ocispec.Descriptor, data []byte) error {
	if err := validDescriptor(desc); err != nil {
		return err
	}
	if len(data) > MaxDocument {
		return fmt.Errorf("it has %d bytes, and more than %d (4 MiB) are not read: %w", len(data), MaxDocument, errdefs.ErrInvalidArgument)
	}
	return blob.Compare(desc, desc.Digest.Algorithm().FromBytes(data), int64(len(data)))
}
