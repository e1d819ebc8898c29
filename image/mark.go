package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Blobs returns the digests of all blobs that index.json reaches, also through the entries of other
// tools: whoever holds the root's lock exclusively may delete the others. It reads every manifest.
// Blobs that are named but missing are in it too. After an error the answer is not known, and nothing
// may be deleted.
func (s *Store) Blobs(ctx context.Context) (map[digest.Digest]struct{}, error) {
	var index reached
	if err := s.readIndex(&index); err != nil {
		return nil, fmt.Errorf("mark blobs: %w", err)
	}
	return s.reachAll(ctx, index.Manifests)
}

// reachAll returns the digests of all that the descriptors todo reach.
func (s *Store) reachAll(ctx context.Context, todo []ocispec.Descriptor) (map[digest.Digest]struct{}, error) {
	marked, seen := map[digest.Digest]struct{}{}, map[digest.Digest]struct{}{}
	for len(todo) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		next := todo[0]
		todo = todo[1:]
		if _, ok := seen[next.Digest]; ok {
			continue
		}
		seen[next.Digest], marked[next.Digest] = struct{}{}, struct{}{}
		doc, err := s.reach(next)
		if err != nil {
			return nil, fmt.Errorf("mark blobs of %s: %w", next.Digest, err)
		}
		for _, d := range doc.leaves() {
			marked[d.Digest] = struct{}{}
		}
		todo = append(todo, doc.Manifests...)
	}
	return marked, nil
}

// reached is what a manifest or an index names.
type reached struct {
	versioned
	Manifests, Layers []ocispec.Descriptor
	Config            ocispec.Descriptor
}

func (r reached) leaves() []ocispec.Descriptor {
	if r.Config.Digest == "" {
		return r.Layers
	}
	return append(r.Layers, r.Config)
}

// reach reads what desc describes; it names nothing if it is not a manifest, or not there.
func (s *Store) reach(desc ocispec.Descriptor) (r reached, err error) {
	switch desc.MediaType {
	case ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, dockerManifest, dockerIndex, "":
	default:
		return r, nil
	}
	data, err := s.document(desc.Digest)
	if errors.Is(err, errdefs.ErrNotFound) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if err := verify(desc, data); err != nil {
		return r, err
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("%w: %w", err, errdefs.ErrDataLoss)
	}
	return r, checkVersion(r.version())
}
