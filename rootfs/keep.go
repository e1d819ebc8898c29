package rootfs

import (
	"context"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
)

// keepManifests replaces the manifests of candidates that were made up for an archive that has none: an image that is
// here already with the same config, and so the same layers, keeps the manifest under which it was published. What only
// the other manifest names is dropped from the ingest. The root is locked.
func (s *Store) keepManifests(ctx context.Context, in *blob.Ingest, candidates []image.Candidate) ([]image.Candidate, error) {
	records, err := s.Images.List(ctx)
	if err != nil {
		return nil, err
	}
	kept := make([]image.Candidate, len(candidates))
	needed := map[digest.Digest]bool{}
	var dropped []digest.Digest
	for i, c := range candidates {
		kept[i] = c
		if im, ok := s.published(ctx, c, records); ok {
			dropped = append(dropped, blobsOf(c.Image)...)
			kept[i].Image = im
		}
		for _, d := range blobsOf(kept[i].Image) {
			needed[d] = true
		}
	}
	for _, d := range dropped {
		if needed[d] {
			continue
		}
		if err := in.Discard(d); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// published returns the image of c as it is in the store, if that is whole and c has no manifest of its own.
func (s *Store) published(ctx context.Context, c image.Candidate, records []image.Record) (image.Image, bool) {
	if c.RepoDigest != "" {
		return image.Image{}, false
	}
	for _, r := range records {
		if r.Image != c.Image.ID || r.Manifest.Digest == c.Image.Manifest.Digest {
			continue
		}
		im, err := s.Images.Load(ctx, r)
		if err == nil && s.hasLayers(ctx, im) { // else what c brings heals it
			return im, true
		}
	}
	return image.Image{}, false
}

// hasLayers tells whether the layers of im are all stored, by their sizes, or were dropped.
func (s *Store) hasLayers(ctx context.Context, im image.Image) bool {
	for i, l := range im.Layers {
		size, err := s.Blobs.Size(l.Digest)
		if errdefs.IsNotFound(err) {
			if ok, err := s.dropped.Dropped(ctx, im, i); ok && err == nil {
				continue
			}
		}
		if err != nil || size != l.Size {
			return false
		}
	}
	return true
}

// repoDigest is under which digest the repository of ref knows the image of c, as far as records tell.
func repoDigest(c image.Candidate, ref image.Reference, records []image.Record) digest.Digest {
	if c.RepoDigest != "" {
		return c.RepoDigest
	}
	for _, r := range records {
		same := r.Image == c.Image.ID && r.Manifest.Digest == c.Image.Manifest.Digest
		if same && r.RepoDigest != "" && (r.Ref.Name() == ref.Name() || r.Repository == ref.Name()) {
			return r.RepoDigest
		}
	}
	return ""
}

// blobsOf returns the digests of all blobs of im.
func blobsOf(im image.Image) []digest.Digest {
	digests := []digest.Digest{im.Manifest.Digest, im.ID}
	for _, l := range im.Layers {
		digests = append(digests, l.Digest)
	}
	return digests
}
