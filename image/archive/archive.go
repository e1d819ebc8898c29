// Package archive reads images out of archives: docker-archives of every age, OCI archives, and OCI
// layouts in a directory; and it makes an image of a root filesystem tar.
package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
)

// Options says what to take out of an archive.
type Options struct {
	// Platform chooses among the platforms of an image. If it is given, an image that is not for it is
	// an error. The zero value chooses what suits the host best among the manifests of an index, or
	// of one name in index.json, and takes an image that comes without such a choice as it is.
	Platform image.Platform
}

// Read finds every image of an archive, writes their blobs into in, which should be new, and returns
// them in the order of the archive; several names of one image are one candidate. Nothing is
// published. The digest and the size of every blob are verified, DiffIDs are not: whoever unpacks
// the layers does that.
//
// An archive is a plain, gzip or zstd tar with index.json (an OCI layout), manifest.json (a
// docker-archive) or repositories (one of Docker before 1.10), looked for in this order; or a
// directory with one of them. A stream is read once and to its end, with all of its larger files
// passing through in, so that no other copy is needed. A docker-archive has no OCI manifest, so one is made,
// the same for the same archive, in which layers keep their bytes.
//
// Names come from RepoTags or repositories, or from the annotations io.containerd.image.name and
// org.opencontainers.image.ref.name of index.json. A ref.name that is only a tag, such as latest,
// names no repository, so the image has no name then (as in docker load).
//
// What is corrupt (*blob.Mismatch; truncated; blobs missing) is errdefs.ErrDataLoss; what is no
// archive of images or contradicts itself is errdefs.ErrInvalidArgument; what lrun does not run is
// errdefs.ErrNotImplemented (see image.ParseManifest); and a platform that is not there is
// errdefs.ErrNotFound, with a list of those that are.
func Read(ctx context.Context, src *Source, in *blob.Ingest, o Options) ([]image.Candidate, error) {
	before := in.Digests()
	f, err := src.files(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("read archive %s: %w", src.name, err)
	}
	r := &reader{files: f, in: in, want: o.Platform, taken: map[digest.Digest]int64{}}
	candidates, err := r.images(ctx)
	if err != nil {
		return nil, fmt.Errorf("read archive %s: %w", src.name, err)
	}
	for _, d := range in.Digests() {
		_, had := slices.BinarySearch(before, d)
		if _, taken := r.taken[d]; had || taken {
			continue
		}
		if err := in.Discard(d); err != nil {
			return nil, fmt.Errorf("read archive %s: %w", src.name, err)
		}
	}
	return candidates, nil
}

// The files by which an archive is known.
const (
	indexFile        = ocispec.ImageIndexFile
	layoutFile       = ocispec.ImageLayoutFile
	manifestFile     = "manifest.json"
	repositoriesFile = "repositories"
)

// files gives access to the files of an archive: see tree.Tar and tree.Directory.
type files interface {
	Read(name string, limit int64) ([]byte, error)
	Take(ctx context.Context, name string, want ocispec.Descriptor) (ocispec.Descriptor, error)
}

// reader takes images out of an archive.
type reader struct {
	files files
	in    *blob.Ingest
	want  image.Platform          // zero: none in particular
	taken map[digest.Digest]int64 // the blobs of images that are in the ingest, with their sizes
}

// images finds out what kind of archive this is and reads it.
func (r *reader) images(ctx context.Context) ([]image.Candidate, error) {
	index, indexErr := r.read(indexFile)
	manifest, manifestErr := r.read(manifestFile)
	for _, err := range []error{indexErr, manifestErr} {
		if err != nil && !errors.Is(err, errdefs.ErrNotFound) {
			return nil, err
		}
	}
	if indexErr == nil {
		return r.layout(ctx, index, manifest)
	}
	if manifestErr == nil {
		return r.docker(ctx, manifest)
	}
	repositories, err := r.read(repositoriesFile)
	if errors.Is(err, errdefs.ErrNotFound) {
		return nil, fmt.Errorf("it has neither %s nor %s, so it holds no image (to make an image of a root filesystem, use `lrun import`): %w",
			indexFile, manifestFile, errdefs.ErrInvalidArgument)
	}
	if err != nil {
		return nil, err
	}
	return r.legacy(ctx, repositories)
}

// take puts the file name into the ingest as a blob of an image.
func (r *reader) take(ctx context.Context, name string, want ocispec.Descriptor) (ocispec.Descriptor, error) {
	if size, ok := r.taken[want.Digest]; ok {
		return want, missing(name, blob.Compare(want, want.Digest, size))
	}
	got, err := r.files.Take(ctx, name, want)
	if err != nil {
		return got, missing(name, err)
	}
	r.taken[got.Digest] = got.Size
	return got, nil
}

// read returns the content of the small file name.
func (r *reader) read(name string) ([]byte, error) {
	return r.files.Read(name, image.MaxDocument)
}

// missing makes err, if it is one, an error about the file name of the archive, which something
// names: if it is not there, the archive is not whole.
func missing(name string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, errdefs.ErrNotFound) {
		return fmt.Errorf("%s is not in the archive: %w", name, errdefs.ErrDataLoss)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// merge joins candidates that are one image.
func merge(all []image.Candidate) []image.Candidate {
	var merged []image.Candidate
	for _, c := range all {
		i := slices.IndexFunc(merged, func(o image.Candidate) bool {
			return o.Image.Manifest.Digest == c.Image.Manifest.Digest && o.RepoDigest == c.RepoDigest
		})
		if i < 0 {
			merged = append(merged, c)
			continue
		}
		for _, ref := range c.Refs {
			if !slices.Contains(merged[i].Refs, ref) {
				merged[i].Refs = append(merged[i].Refs, ref)
			}
		}
	}
	return merged
}
