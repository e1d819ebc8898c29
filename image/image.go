// Package image knows what an image is: its name (Reference), its manifest and config (Image), the
// platform it is for, and the Store of the images of one root, which is an OCI image layout.
package image

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/layer/identity"
)

// MaxLayers is the number of layers that an image may have: the kernel's overlayfs stacks no more.
const MaxLayers = 500

// Image is everything that unpacking and running an image needs. It is a value and holds nothing open.
type Image struct {
	ID        digest.Digest        // digest of the config
	Manifest  ocispec.Descriptor   // of the manifest, with the platform that the config says
	Layers    []ocispec.Descriptor // as in the manifest, bottom first
	Config    ocispec.Image        // the config, parsed
	RawConfig json.RawMessage      // the config as stored; Docker's extensions (Healthcheck, OnBuild) are only here
}

// ChainIDs returns the ChainID of every prefix of the layers, bottom first.
func (im Image) ChainIDs() []digest.Digest {
	return identity.ChainIDs(im.Config.RootFS.DiffIDs)
}

// ParseImage returns the image that manifest, which desc describes, and config make. It verifies the
// digests and sizes of both (*blob.Mismatch, errdefs.ErrDataLoss) and that they agree with each other
// (errdefs.ErrInvalidArgument); what lrun does not run is errdefs.ErrNotImplemented: see
// ParseManifest, images of other systems than Linux, and more than MaxLayers layers. The history need
// not fit the layers. The layers themselves are not read.
func ParseImage(desc ocispec.Descriptor, manifest, config []byte) (Image, error) {
	m, err := ParseManifest(desc, manifest)
	if err != nil {
		return Image{}, err
	}
	c, err := parseConfig(m.Config, config)
	if err != nil {
		return Image{}, fmt.Errorf("parse config %s: %w", m.Config.Digest, err)
	}
	if len(c.RootFS.DiffIDs) != len(m.Layers) {
		return Image{}, fmt.Errorf("parse manifest %s: it has %d layers, but its config %d DiffIDs: %w",
			desc.Digest, len(m.Layers), len(c.RootFS.DiffIDs), errdefs.ErrInvalidArgument)
	}
	if desc.MediaType == "" {
		desc.MediaType = m.MediaType
	}
	desc.Platform = &Platform{
		OS: c.OS, Architecture: c.Architecture, Variant: c.Variant, OSVersion: c.OSVersion, OSFeatures: c.OSFeatures,
	}
	return Image{ID: m.Config.Digest, Manifest: desc, Layers: m.Layers, Config: c, RawConfig: config}, nil
}

// parseConfig verifies and checks the config that desc describes.
func parseConfig(desc ocispec.Descriptor, data []byte) (ocispec.Image, error) {
	if err := verify(desc, data); err != nil {
		return ocispec.Image{}, err
	}
	var c ocispec.Image
	if err := json.Unmarshal(data, &c); err != nil {
		return ocispec.Image{}, fmt.Errorf("not the config of an image: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	if c.RootFS.Type != "layers" {
		return ocispec.Image{}, fmt.Errorf("not the config of an image: its rootfs has type %q, not \"layers\": %w",
			c.RootFS.Type, errdefs.ErrInvalidArgument)
	}
	if c.OS != "" && normalize(c.Platform).OS != "linux" {
		return ocispec.Image{}, fmt.Errorf("the image is for %s, and lrun runs images for linux only: %w",
			FormatPlatform(c.Platform), errdefs.ErrNotImplemented)
	}
	for i, d := range c.RootFS.DiffIDs {
		if err := blob.Validate(d); err != nil {
			return ocispec.Image{}, fmt.Errorf("DiffID %d is %q: %w", i+1, d, err)
		}
		if d.Algorithm() != digest.SHA256 {
			return ocispec.Image{}, fmt.Errorf("DiffID %d is a %s digest, and only sha256 is supported: rebuild the image: %w", i+1, d.Algorithm(), errdefs.ErrNotImplemented)
		}
	}
	return c, nil
}

// Candidate is an image whose blobs are in an ingest, and which the store does not have yet.
type Candidate struct {
	Image      Image
	Refs       []Reference   // the names that it came with; none: it will be dangling
	RepoDigest digest.Digest // of the manifest or index under which it was published; empty: unknown (docker-archive)
}

// Record is what the store knows of an image under one name.
type Record struct {
	Ref        Reference          // zero: dangling
	Image      digest.Digest      // the image's ID, the digest of its config
	Manifest   ocispec.Descriptor // with the platform; without the annotations in which the store keeps the rest
	RepoDigest digest.Digest      // what `images --digests` shows; empty: unknown
	Repository string             // full name of the repository whose tag moved away from a dangling image, for NAME@DIGEST; may be empty
	Created    time.Time          // from the config
	Size       int64              // of all layers unpacked, in bytes, as whoever put it counted them
}
