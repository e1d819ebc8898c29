package save

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
)

// part is a blob of the archive.
type part struct {
	size int64
	file *os.File // a stored blob, open
	open func() (io.ReadCloser, error)
}

func (a *archive) close() error {
	var errs []error
	for _, p := range a.parts {
		if p.file != nil {
			errs = append(errs, p.file.Close())
		}
	}
	return errors.Join(errs...)
}

// open opens every blob of the entries, and returns the entries as they are saved.
func (a *archive) open(blobs Blobs, stored []Entry, o Options) ([]Entry, error) {
	entries := slices.Clone(stored)
	for i, e := range stored {
		im, err := a.openImage(blobs, e.Image)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", e.Image.ID, err)
		}
		entries[i].Image = im
	}
	for i, e := range stored {
		if now := entries[i].Image.Manifest.Digest; now != e.Image.Manifest.Digest && o.Changed != nil {
			o.Changed(e.Image, now)
		}
	}
	for d := range a.parts {
		a.digest = append(a.digest, d)
	}
	slices.Sort(a.digest)
	return entries, nil
}

// openImage opens the blobs of im and returns it as it is saved.
func (a *archive) openImage(blobs Blobs, im image.Image) (image.Image, error) {
	if err := a.openBlob(blobs, im.ID); err != nil {
		return im, again(err)
	}
	layers := slices.Clone(im.Layers)
	for i := range layers {
		if err := a.openLayer(blobs, im, i, &layers[i]); err != nil {
			return im, again(err)
		}
	}
	if err := a.openBlob(blobs, im.Manifest.Digest); err != nil {
		return im, again(err)
	}
	if slices.EqualFunc(layers, im.Layers, func(a, b ocispec.Descriptor) bool { return a.Digest == b.Digest }) {
		return im, nil
	}
	manifest, err := a.otherManifest(im.Manifest.Digest, layers)
	if err != nil {
		return im, fmt.Errorf("manifest %s: %w", im.Manifest.Digest, err)
	}
	im.Layers, im.Manifest.Digest, im.Manifest.Size = layers, digest.FromBytes(manifest), int64(len(manifest))
	a.parts[im.Manifest.Digest] = part{size: im.Manifest.Size, open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(manifest)), nil
	}}
	return im, nil
}

// again says of what is missing what to do.
func again(err error) error {
	if errdefs.IsNotFound(err) {
		err = fmt.Errorf("%s: load or pull the image again: %w", err.Error(), errdefs.ErrDataLoss)
	}
	return err
}

// openBlob opens a stored blob, once.
func (a *archive) openBlob(blobs Blobs, d digest.Digest) error {
	if _, ok := a.parts[d]; ok {
		return nil
	}
	f, err := blobs.Blob(d)
	if err != nil {
		return err
	}
	p := part{file: f, open: func() (io.ReadCloser, error) { return f, nil }}
	fi, err := f.Stat()
	if err == nil {
		p.size = fi.Size()
	}
	a.parts[d] = p
	return err
}

// openLayer opens the blob of a layer, or its tar, which desc describes then.
func (a *archive) openLayer(blobs Blobs, im image.Image, layer int, desc *ocispec.Descriptor) error {
	err := a.openBlob(blobs, desc.Digest)
	if !errdefs.IsNotFound(err) {
		return err
	}
	t, tarErr := blobs.Tar(a.ctx, im, layer)
	if errdefs.IsNotFound(tarErr) {
		return err
	}
	if tarErr != nil {
		return fmt.Errorf("blob %s was dropped, and cannot be made again: load or pull the image again: %w", desc.Digest, tarErr)
	}
	if desc.Digest != t.DiffID {
		*desc = ocispec.Descriptor{MediaType: uncompressed(desc.MediaType), Digest: t.DiffID, Size: t.Size}
	}
	if _, ok := a.parts[t.DiffID]; !ok {
		a.parts[t.DiffID] = part{size: t.Size, open: func() (io.ReadCloser, error) { return t.Open(a.ctx) }}
	}
	return nil
}

// uncompressed is the media type of a layer whose compressed form has mediaType.
func uncompressed(mediaType string) string {
	base, _, _ := strings.Cut(mediaType, "+")
	for _, suffix := range []string{".gzip", ".zstd"} {
		base = strings.TrimSuffix(base, suffix)
	}
	return base
}

// otherManifest is the stored manifest d with other layers, and all else as it is.
func (a *archive) otherManifest(d digest.Digest, layers []ocispec.Descriptor) ([]byte, error) {
	raw, err := io.ReadAll(io.NewSectionReader(a.parts[d].file, 0, a.parts[d].size))
	if err != nil {
		return nil, err
	}
	if found := d.Algorithm().FromBytes(raw); found != d {
		return nil, fmt.Errorf("it is damaged: load or pull the image again: %w", errdefs.ErrDataLoss)
	}
	var members map[string]json.RawMessage
	if err := a.parts[d].file.Close(); err != nil {
		return nil, err
	}
	delete(a.parts, d)
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, err
	}
	if members["layers"], err = json.Marshal(layers); err != nil {
		return nil, err
	}
	return json.Marshal(members)
}
