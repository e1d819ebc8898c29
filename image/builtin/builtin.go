// Package builtin holds the images that need no file: lrun makes their layers on the spot from its
// own executable. Their names begin with "@", which no reference can, so they collide with nothing;
// they are neither listed nor removed.
package builtin

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
)

// Hello names the image that shows what layers do; it is the last line of the quickstart.
const Hello = "@hello"

// Command is the hidden subcommand of lrun that runs inside a container of Hello. It calls Main.
const Command = "hello-program"

// Names returns the names of all built-in images, sorted.
func Names() []string {
	return []string{Hello}
}

// Is tells whether name asks for a built-in image, known or not: whether it begins with "@".
func Is(name string) bool {
	return strings.HasPrefix(name, "@")
}

// Image makes the built-in image called name out of executable, which is read from its beginning by
// offset (its position does not move) and must stay open while the layers are read. It returns the
// image and, for each of its layers, bottom first, a function that starts a fresh reader of the
// layer's uncompressed tar. The same executable always gives the same image. It costs two hashes of
// the executable and no disk. An unknown name is errdefs.ErrNotFound.
//
// The image's blobs are in no store: its manifest and layers are described, and exist nowhere.
func Image(ctx context.Context, name string, executable *os.File) (image.Image, []func() io.Reader, error) {
	if name != Hello {
		return image.Image{}, nil, fmt.Errorf("there is no built-in image %q (built in: %s): %w",
			name, strings.Join(Names(), ", "), errdefs.ErrNotFound)
	}
	layers, err := helloLayers(ctx, executable)
	if err != nil {
		return image.Image{}, nil, fmt.Errorf("make image %s from %s: %w", name, executable.Name(), err)
	}
	im, err := assemble(ctx, layers)
	if err != nil {
		return image.Image{}, nil, fmt.Errorf("make image %s from %s: %w", name, executable.Name(), err)
	}
	open := make([]func() io.Reader, len(layers))
	for i, l := range layers {
		open[i] = l.open
	}
	return im, open, nil
}

// layer is one layer of a built-in image.
type layer struct {
	comment string
	open    func() io.Reader // a fresh reader of the uncompressed tar
}

// assemble hashes the layers and writes the config and the manifest that name them.
func assemble(ctx context.Context, layers []layer) (image.Image, error) {
	epoch := time.Unix(0, 0).UTC() // no clock: the same executable is the same image
	config := ocispec.Image{
		Created:  &epoch,
		Author:   "lrun",
		Platform: ocispec.Platform{Architecture: runtime.GOARCH, OS: "linux"},
		Config: ocispec.ImageConfig{
			Env:        []string{"PATH=/"},
			Entrypoint: []string{"/lrun", Command},
			WorkingDir: "/",
		},
		RootFS: ocispec.RootFS{Type: "layers"},
	}
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, l := range layers {
		d, size, err := measure(ctx, l.open())
		if err != nil {
			return image.Image{}, err
		}
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, d)
		config.History = append(config.History, ocispec.History{Created: &epoch, CreatedBy: "lrun", Comment: l.comment})
		manifest.Layers = append(manifest.Layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: d, Size: size})
	}
	configBytes, err := json.Marshal(config)
	if err != nil {
		return image.Image{}, fmt.Errorf("encode config: %w", err)
	}
	manifest.Config = describe(ocispec.MediaTypeImageConfig, configBytes)
	manifestBytes, err := json.Marshal(manifest)
	if err != nil {
		return image.Image{}, fmt.Errorf("encode manifest: %w", err)
	}
	return image.ParseImage(describe(ocispec.MediaTypeImageManifest, manifestBytes), manifestBytes, configBytes)
}

func describe(mediaType string, b []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
}

// measure reads r to its end and returns the digest and the number of its bytes.
func measure(ctx context.Context, r io.Reader) (digest.Digest, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, contextReader{ctx, r})
	if err != nil {
		return "", 0, fmt.Errorf("hash layer: %w", err)
	}
	return digest.NewDigest(digest.SHA256, h), n, nil
}

// contextReader reads r until ctx is done.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
