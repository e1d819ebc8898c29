// Package child makes an image out of another one and a layer on top of it: what commit does.
package child

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
)

// Options says what the new image has besides its layers.
type Options struct {
	Config    ocispec.ImageConfig // takes the place of the parent's
	Author    string
	Comment   string
	CreatedBy string
	Created   time.Time
}

// emptyTar is the DiffID of a layer without entries: two blocks of zeros. Docker keeps no such layer.
const emptyTar = digest.Digest("sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef")

// Make makes the image that has the layers of parent and one more, which write writes as a tar, and that is compressed
// with gzip. When that has no entries, the history gets an entry and the image no layer, as with Docker. What the
// parent's config says and Options do not is kept, Docker's own words (Healthcheck, OnBuild) among it. The new blobs
// are in in afterwards, unpublished; the layers below must be in the store already. The candidate has no name.
func Make(ctx context.Context, in *blob.Ingest, parent image.Image, write func(io.Writer) error, o Options) (image.Candidate, error) {
	desc, diffID, err := writeLayer(ctx, in, write)
	if err != nil {
		return image.Candidate{}, err
	}
	layers, diffIDs := ociLayers(parent.Layers), slices.Clone(parent.Config.RootFS.DiffIDs)
	if diffID == emptyTar {
		if err := in.Discard(desc.Digest); err != nil {
			return image.Candidate{}, err
		}
	} else {
		layers, diffIDs = append(layers, desc), append(diffIDs, diffID)
	}
	config, err := childConfig(parent, diffIDs, diffID == emptyTar, o)
	if err != nil {
		return image.Candidate{}, fmt.Errorf("config of image %s: %w", parent.ID, err)
	}
	im, err := writeImage(ctx, in, layers, config)
	return image.Candidate{Image: im}, err
}

// writeLayer writes the tar, compressed, into in.
func writeLayer(ctx context.Context, in *blob.Ingest, write func(io.Writer) error) (ocispec.Descriptor, digest.Digest, error) {
	r, w := io.Pipe()
	sum := sha256.New()
	written := make(chan error, 1)
	go func() {
		z := gzip.NewWriter(w)
		err := write(io.MultiWriter(sum, z))
		if err == nil {
			err = z.Close()
		}
		written <- err
		_ = w.CloseWithError(err) // it never fails
	}()
	d, size, err := in.WriteUnknown(ctx, -1, r)
	_ = r.CloseWithError(err) // whoever writes stops
	if werr := <-written; werr != nil {
		err = werr // the reason, where the other is only what followed
	}
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: d, Size: size}, digest.NewDigest(digest.SHA256, sum), err
}

// ociLayers gives layers the names that an OCI manifest has for their types.
func ociLayers(layers []ocispec.Descriptor) []ocispec.Descriptor {
	const docker = "application/vnd.docker.image.rootfs.diff.tar"
	list := slices.Clone(layers)
	for i := range list {
		if kind, ok := strings.CutPrefix(list[i].MediaType, docker); ok {
			list[i].MediaType = ocispec.MediaTypeImageLayer
			if kind != "" {
				list[i].MediaType += "+" + kind[1:]
			}
		}
	}
	return list
}

// childConfig is the parent's config with what is new.
func childConfig(parent image.Image, diffIDs []digest.Digest, empty bool, o Options) ([]byte, error) {
	var doc, inner map[string]json.RawMessage
	if err := json.Unmarshal(parent.RawConfig, &doc); err != nil {
		return nil, err
	}
	if raw, ok := doc["config"]; ok {
		if err := json.Unmarshal(raw, &inner); err != nil {
			return nil, err
		}
	}
	if inner == nil {
		inner = map[string]json.RawMessage{}
	}
	created := o.Created.UTC()
	history := append(slices.Clone(parent.Config.History), ocispec.History{
		Created: &created, CreatedBy: o.CreatedBy, Author: o.Author, Comment: o.Comment, EmptyLayer: empty,
	})
	if err := replace(inner, o.Config, "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal"); err != nil {
		return nil, err
	}
	err := replace(doc, map[string]any{
		"created": created, "author": o.Author, "comment": o.Comment, "config": inner, "history": history,
		"rootfs": ocispec.RootFS{Type: "layers", DiffIDs: diffIDs},
	}, "author", "comment", "container", "container_config", "docker_version", "id", "parent") // of how the parent was made
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"author", "comment"} {
		if string(doc[name]) == `""` {
			delete(doc, name)
		}
	}
	return json.Marshal(doc)
}

// replace deletes names from doc and then sets what values has.
func replace(doc map[string]json.RawMessage, values any, names ...string) error {
	for _, name := range names {
		delete(doc, name)
	}
	data, err := json.Marshal(values)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, &doc)
}

// writeImage writes the config and its manifest into in.
func writeImage(ctx context.Context, in *blob.Ingest, layers []ocispec.Descriptor, config []byte) (image.Image, error) {
	if layers == nil {
		layers = []ocispec.Descriptor{} // a manifest must have the list
	}
	configDesc := describe(ocispec.MediaTypeImageConfig, config)
	data, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: configDesc, Layers: layers,
	})
	if err != nil {
		return image.Image{}, err
	}
	desc := describe(ocispec.MediaTypeImageManifest, data)
	im, err := image.ParseImage(desc, data, config)
	if err != nil {
		return image.Image{}, err
	}
	return im, errors.Join(in.Write(ctx, configDesc, bytes.NewReader(config)), in.Write(ctx, desc, bytes.NewReader(data)))
}

func describe(mediaType string, data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
}
