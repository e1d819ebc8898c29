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
)

// Limits of what is accepted as an image.
const (
	// MaxDocument is the largest manifest, index or config that is read, in bytes.
	MaxDocument = 4 << 20
	// MaxLayers is the number of layers that the kernel's overlayfs can stack.
	MaxLayers = 500
)

// Image is everything that unpacking and running an image needs. It is a value and holds nothing open.
type Image struct {
	ID        digest.Digest        // digest of the config
	Manifest  ocispec.Descriptor   // what describes the manifest
	Layers    []ocispec.Descriptor // as in the manifest, bottom first
	Config    ocispec.Image        // the config, parsed
	RawConfig json.RawMessage      // the config as stored; Docker's extensions (Healthcheck, OnBuild) are only here
}

// ChainIDs returns the ChainID of every prefix of the layers, bottom first.
func (im Image) ChainIDs() []digest.Digest {
	return nil
}

// ParseImage checks the manifest that desc describes and its config, and returns the image that they make.
func ParseImage(desc ocispec.Descriptor, manifest, config []byte) (Image, error) {
	return Image{}, fmt.Errorf("parse manifest %s (%d and %d bytes): %w", desc.Digest, len(manifest), len(config), errdefs.ErrNotImplemented)
}

// Candidate is an image whose blobs are in an ingest, and that the store does not have yet.
type Candidate struct {
	Image      Image
	Refs       []Reference   // the names that it came with; none: it will be dangling
	RepoDigest digest.Digest // of the manifest or index under which it was published; empty: unknown (docker-archive)
}

// Record is what the store knows of an image under one name.
type Record struct {
	Ref        Reference          // zero: dangling
	Image      digest.Digest      // the image's ID, the digest of its config
	Manifest   ocispec.Descriptor // with platform; without the annotations in which the store keeps the rest
	RepoDigest digest.Digest      // what `images --digests` shows; empty: unknown
	Repository string             // of a dangling record: the repository that its tag left, for NAME@DIGEST; may be empty
	Created    time.Time          // from the config
	Size       int64              // of all layers unpacked, in bytes, as whoever put it counted them
}
