package prune

import (
	"context"
	"errors"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/internal/gc"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/volume"
)

// Holdings are the containers, images and volumes of a root.
type Holdings struct {
	Containers []runtime.Container
	States     map[string]runtime.State // of Containers, by their ids
	Images     []image.Record
	Volumes    []volume.Volume
}

// Read reads what e's root holds. An error tells of what could not be read; what is beside it is right.
func Read(ctx context.Context, e *env.Env) (Holdings, error) {
	h := Holdings{States: map[string]runtime.State{}}
	containers, err := e.Runtime().List()
	errs := []error{err}
	for _, c := range containers {
		st, err := e.Runtime().State(c.ID)
		if errors.Is(err, errdefs.ErrNotFound) {
			continue // gone since
		}
		if err != nil {
			errs = append(errs, err)
		}
		h.Containers, h.States[c.ID] = append(h.Containers, c), st
	}
	images, err := e.Images()
	if err == nil {
		h.Images, err = images.List(ctx)
	}
	errs = append(errs, err)
	h.Volumes, err = e.Volumes().List()
	return h, errors.Join(append(errs, err)...)
}

// Users are what containers use, whether they run or not: how many have each image, by its ID, and each volume, by its name.
func (h Holdings) Users() (images, volumes map[string]int) {
	images, volumes = map[string]int{}, map[string]int{}
	for _, c := range h.Containers {
		images[c.ImageID]++
		for _, v := range h.Volumes {
			if uses(c, v.Name) {
				volumes[v.Name]++
			}
		}
	}
	return images, volumes
}

// Unused is what `container prune`, `image prune -a` and `volume prune -a` remove, each alone.
type Unused struct {
	Containers, Images, Volumes []gc.ID
	// Index is how many bytes on disk the index of the images takes less without Images.
	Index int64
}

// Unused finds what of h nobody uses.
func (h Holdings) Unused(e *env.Env) (Unused, error) {
	var u Unused
	for _, c := range h.Containers {
		if h.States[c.ID].Status != runtime.Running && h.States[c.ID].Status != "" && !e.Runtime().Watched(c.ID) {
			u.Containers = append(u.Containers, gc.ID{Kind: gc.Container, Name: c.ID})
		}
	}
	images, volumes := h.Users()
	var digests []digest.Digest
	seen := map[digest.Digest]bool{}
	for _, r := range h.Images {
		if images[r.Image.String()] == 0 && !seen[r.Image] {
			seen[r.Image] = true
			digests = append(digests, r.Image)
			u.Images = append(u.Images, gc.ID{Kind: gc.Image, Name: r.Image.String()})
		}
	}
	for _, v := range h.Volumes {
		if volumes[v.Name] == 0 {
			u.Volumes = append(u.Volumes, gc.ID{Kind: gc.Volume, Name: v.Name})
		}
	}
	if len(digests) == 0 {
		return u, nil
	}
	store, err := e.Images()
	if err == nil {
		_, u.Index, err = indexFreed(store, digests)
	}
	return u, err
}
