package image

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/internal/gc"
	"github.com/lrun-dev/lrun/internal/readahead"
)

// Graph adds all images and blobs to g. An image is kept, and needs its blobs and a key for each ChainID; what the entries of
// other tools reach is kept too. It reads every manifest and config. After an error nobody knows what is needed: all blobs are
// kept, but layers may seem to be without a need.
func (s *Store) Graph(ctx context.Context, g *gc.Graph) error {
	err := s.graph(ctx, g)
	walked := s.blobs.Walk(func(d digest.Digest, _ int64) error {
		path, pathErr := s.blobs.Path(d)
		g.Add(gc.Node{ID: blobID(d), Paths: []string{path}, Kept: err != nil})
		return pathErr
	})
	if err == nil {
		err = walked
	}
	return err
}

func (s *Store) graph(ctx context.Context, g *gc.Graph) error {
	var index, others reached
	if err := s.readIndex(&index); err != nil {
		return fmt.Errorf("read images: %w", err)
	}
	var records []Record
	for _, d := range index.Manifests {
		if r, ok := recordOf(d); ok {
			records = append(records, r)
		} else {
			others.Manifests = append(others.Manifests, d)
		}
	}
	load := func(i int) (Image, error) { return s.Load(ctx, records[i]) }
	i := 0
	for im, err := range readahead.Each(len(records), 1, load) {
		if err := addImage(g, records[i], im, err); err != nil {
			return err
		}
		i++
	}
	needed, err := s.reachAll(ctx, others.Manifests)
	for d := range needed {
		g.Add(gc.Node{ID: blobID(d), Kept: true})
	}
	return err
}

// addImage adds one record of an image, which may have others, and what Load has returned for it.
func addImage(g *gc.Graph, r Record, im Image, err error) error {
	n := gc.Node{ID: gc.ID{Kind: gc.Image, Name: r.Image.String()}, Kept: true}
	if errors.Is(err, errdefs.ErrNotFound) {
		return nil // removed meanwhile
	}
	if err != nil {
		g.Add(n)
		return fmt.Errorf("it is not known what image %s needs: %w", r.Image, err)
	}
	n.Needs = []gc.ID{blobID(im.Manifest.Digest), blobID(im.ID)}
	for _, l := range im.Layers {
		n.Needs = append(n.Needs, blobID(l.Digest))
	}
	for _, c := range im.ChainIDs() {
		n.Needs = append(n.Needs, gc.ID{Kind: gc.Key, Name: c.String()})
	}
	g.Add(n)
	return nil
}

func blobID(d digest.Digest) gc.ID { return gc.ID{Kind: gc.Blob, Name: d.String()} }
