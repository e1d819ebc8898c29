// Package save writes images into an archive that lrun, Docker, Podman, containerd and skopeo read.
package save

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/layer/split"
)

// Format is what an archive is.
type Format int

const (
	// Docker is an OCI layout with the manifest.json of a docker-archive beside it, as docker save writes since
	// version 25: readers of either find theirs, and every digest is kept.
	Docker Format = iota
	// OCI is an OCI layout only.
	OCI
)

// Entry is an image with the names under which it is saved; without any it is found by its digest only.
type Entry struct {
	Image image.Image
	Refs  []image.Reference // without digests
}

// Blobs is where the bytes come from.
type Blobs interface {
	// Blob opens a blob. One that is not there is errdefs.ErrNotFound.
	Blob(d digest.Digest) (*os.File, error)
	// Tar returns the tar of a layer whose blob was dropped; if it was not, that is errdefs.ErrNotFound.
	Tar(ctx context.Context, im image.Image, layer int) (split.Source, error)
}

// Options say how an archive is written.
type Options struct {
	Format Format
	// Changed is told of each image that is saved with another manifest than it has, because blobs of it were dropped, when all blobs
	// have been found and before anything is written.
	Changed func(im image.Image, manifest digest.Digest)
}

// Write writes entries to w as an uncompressed tar, the same bytes for the same entries. Blobs are copied as they are,
// each once; they are all opened before anything is written, so that an image that is removed meanwhile is saved whole.
// In the place of a layer whose blob was dropped is its tar, for which the image must stay until it was written: when the blob was
// compressed, the manifest is another, and the config, with the image's ID, the same. A blob that is
// missing or whose bytes are not its digest's is errdefs.ErrDataLoss; in the second case part of the archive has been written.
func Write(ctx context.Context, w io.Writer, blobs Blobs, entries []Entry, o Options) (err error) {
	a := &archive{ctx: ctx, tar: tar.NewWriter(w), parts: map[digest.Digest]part{}}
	defer func() { err = errors.Join(err, a.close()) }()
	if entries, err = a.open(blobs, entries, o); err != nil {
		return err
	}
	f := o.Format
	documents := []document{
		{ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}},
		{ocispec.ImageIndexFile, index(entries)},
	}
	if f == Docker {
		documents = append(documents, document{"manifest.json", dockerManifest(entries)})
	}
	for _, d := range documents {
		if err := a.document(d); err != nil {
			return err
		}
	}
	if err := a.blobs(); err != nil {
		return err
	}
	return a.tar.Close()
}

// index is the index.json: one descriptor for each name, in the way that all tools understand.
func index(entries []Entry) ocispec.Index {
	i := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	i.SchemaVersion = 2
	for _, e := range entries {
		m := e.Image.Manifest
		d := ocispec.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size, Platform: m.Platform}
		if len(e.Refs) == 0 {
			i.Manifests = append(i.Manifests, d)
		}
		for _, ref := range e.Refs {
			d.Annotations = map[string]string{"io.containerd.image.name": ref.String(), ocispec.AnnotationRefName: ref.Tag()}
			i.Manifests = append(i.Manifests, d)
		}
	}
	return i
}

// dockerImage is an entry of manifest.json.
type dockerImage struct {
	Config   string
	RepoTags []string // null for an image without a name, as Docker writes it
	Layers   []string
}

func dockerManifest(entries []Entry) []dockerImage {
	list := []dockerImage{}
	for _, e := range entries {
		im := dockerImage{Config: blobName(e.Image.ID), Layers: []string{}}
		for _, ref := range e.Refs {
			im.RepoTags = append(im.RepoTags, ref.Familiar())
		}
		for _, l := range e.Image.Layers {
			im.Layers = append(im.Layers, blobName(l.Digest))
		}
		list = append(list, im)
	}
	return list
}

// blobName is the file of blob d in a layout.
func blobName(d digest.Digest) string {
	return path.Join(ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

type document struct {
	name  string
	value any
}

// archive is what is being written.
type archive struct {
	ctx    context.Context
	tar    *tar.Writer
	digest []digest.Digest // of parts, ascending
	parts  map[digest.Digest]part
}

// document writes a small JSON file.
func (a *archive) document(d document) error {
	content, err := json.Marshal(d.value)
	if err != nil {
		return err
	}
	if err := a.header(d.name, tar.TypeReg, int64(len(content))); err != nil {
		return err
	}
	_, err = a.tar.Write(content)
	return wrap(d.name, err)
}

// blobs writes every blob, and the directories before them.
func (a *archive) blobs() error {
	made := map[string]bool{}
	for _, d := range a.digest {
		name := blobName(d)
		for _, dir := range []string{ocispec.ImageBlobsDir, path.Dir(name)} {
			if made[dir] {
				continue
			}
			made[dir] = true
			if err := a.header(dir+"/", tar.TypeDir, 0); err != nil {
				return err
			}
		}
		if err := a.blob(name, d); err != nil {
			return err
		}
	}
	return nil
}

// blob copies one blob and verifies it on the way.
func (a *archive) blob(name string, d digest.Digest) (err error) {
	p := a.parts[d]
	if err := a.header(name, tar.TypeReg, p.size); err != nil {
		return err
	}
	r, err := p.open()
	if err != nil {
		return wrap(name, err)
	}
	if r != io.ReadCloser(p.file) { // the others are closed in the end
		defer func() { err = errors.Join(err, r.Close()) }()
	}
	found := d.Algorithm().Hash()
	n, err := io.Copy(io.MultiWriter(a.tar, found), &reader{a.ctx, io.LimitReader(r, p.size)})
	if errdefs.IsDataLoss(err) { // of a layer that is put together
		err = fmt.Errorf("load or pull the image again: %w", err)
	}
	if err != nil {
		return wrap(name, err)
	}
	if err := blob.Compare(ocispec.Descriptor{Digest: d, Size: p.size}, digest.NewDigest(d.Algorithm(), found), n); err != nil {
		return fmt.Errorf("the stored blob is damaged, load or pull the image again: %w", err)
	}
	return nil
}

// header writes the header of a file that belongs to nobody and is of no time.
func (a *archive) header(name string, kind byte, size int64) error {
	mode := int64(0o644)
	if kind == tar.TypeDir {
		mode = 0o755
	}
	return wrap(name, a.tar.WriteHeader(&tar.Header{Name: name, Typeflag: kind, Size: size, Mode: mode, ModTime: time.Unix(0, 0)}))
}

func wrap(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("write %s: %w", strings.TrimSuffix(name, "/"), err)
}

// reader ends with its context.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
