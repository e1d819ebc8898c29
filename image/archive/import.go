package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/archive/tree"
	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/image/change"
)

// ImportOptions describes the image that Import makes.
type ImportOptions struct {
	Changes  []string       // Dockerfile instructions, one each: see change.Apply
	Message  string         // the comment in the history
	Platform image.Platform // zero is the host's
	Created  time.Time      // zero is now; given, the same input makes the same image
}

// Import makes an image of a root filesystem tar, which r streams, plain or compressed with gzip or
// zstd, and which becomes its only layer byte by byte. All of it is read and must be a tar
// (errdefs.ErrInvalidArgument, errdefs.ErrDataLoss where it is truncated). The blobs are in in
// afterwards, unpublished; the candidate has no name.
//
// Changes are applied to an empty config: see change.Apply. They are checked before r is read.
func Import(ctx context.Context, r io.Reader, in *blob.Ingest, o ImportOptions) (image.Candidate, error) {
	var config ocispec.ImageConfig
	if err := change.Apply(&config, o.Changes); err != nil {
		return image.Candidate{}, err
	}
	im, err := importLayer(ctx, r, in, config, o)
	if err != nil {
		return image.Candidate{}, fmt.Errorf("import: %w", err)
	}
	return image.Candidate{Image: im}, nil
}

func importLayer(ctx context.Context, r io.Reader, in *blob.Ingest, config ocispec.ImageConfig, o ImportOptions) (image.Image, error) {
	d, size, err := in.WriteUnknown(ctx, -1, r)
	if err != nil {
		return image.Image{}, err
	}
	diffID, err := checkTar(ctx, in, d)
	if err != nil {
		return image.Image{}, err
	}
	reader := &reader{in: in}
	mediaType, err := reader.layerType(d)
	if err != nil {
		return image.Image{}, err
	}
	created := o.Created.UTC()
	if o.Created.IsZero() {
		created = time.Now().UTC()
	}
	if o.Platform.OS == "" && o.Platform.Architecture == "" {
		o.Platform = image.HostPlatform()
	}
	configBytes, err := json.Marshal(ocispec.Image{
		Created: &created, Platform: o.Platform, Config: config,
		RootFS:  ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}},
		History: []ocispec.History{{Created: &created, Comment: o.Message}},
	})
	if err != nil {
		return image.Image{}, err
	}
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: describe(ocispec.MediaTypeImageConfig, configBytes),
		Layers: []ocispec.Descriptor{{MediaType: mediaType, Digest: d, Size: size}},
	}
	return finish(ctx, in, manifest, configBytes)
}

// finish writes manifest and config into in and returns their image.
func finish(ctx context.Context, in *blob.Ingest, manifest ocispec.Manifest, config []byte) (image.Image, error) {
	data, err := json.Marshal(manifest)
	if err != nil {
		return image.Image{}, err
	}
	desc := describe(ocispec.MediaTypeImageManifest, data)
	im, err := image.ParseImage(desc, data, config)
	if err != nil {
		return image.Image{}, err
	}
	return im, errors.Join(
		in.Write(ctx, manifest.Config, bytes.NewReader(config)),
		in.Write(ctx, desc, bytes.NewReader(data)))
}

// checkTar reads all of the layer d, checks that it is a tar, and returns its DiffID.
func checkTar(ctx context.Context, in *blob.Ingest, d digest.Digest) (diffID digest.Digest, err error) {
	f, err := in.Open(d)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	plain, err := tree.Decompress(ctx, f)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, plain.Close()) }()
	digester := digest.Canonical.Digester()
	end := &lastBlock{}
	all := io.TeeReader(plain, io.MultiWriter(digester.Hash(), end))
	entries := 0
	for tr := tar.NewReader(all); ; entries++ {
		if _, err := tr.Next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", tree.Damage(err, entries)
		}
	}
	if entries == 0 && end.n == 0 {
		return "", fmt.Errorf("it is empty, not a tar: %w", errdefs.ErrInvalidArgument)
	}
	if end.bytes != [len(end.bytes)]byte{} {
		// The library takes a tar that was cut after an entry for whole.
		return "", fmt.Errorf("the tar is truncated: the blocks of zeros at its end are missing: %w", errdefs.ErrDataLoss)
	}
	if _, err := io.Copy(io.Discard, all); err != nil {
		return "", err
	}
	return digester.Digest(), nil
}

// lastBlock keeps the last block of a tar that is written to it.
type lastBlock struct {
	bytes [512]byte
	n     int64 // of bytes that were written
}

// Write implements io.Writer.
func (l *lastBlock) Write(p []byte) (int, error) {
	last := p[max(0, len(p)-len(l.bytes)):]
	copy(l.bytes[:], l.bytes[len(last):])
	copy(l.bytes[len(l.bytes)-len(last):], last)
	l.n += int64(len(p))
	return len(p), nil
}
