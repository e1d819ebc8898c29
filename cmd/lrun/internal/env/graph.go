package env

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/gc"
	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/runtime"
)

// Graph returns what the root holds, of every driver: the one graph that df and prune walk. An error tells of what could not be
// read; the graph beside it is right, and keeps all of which it is not known whether something needs it.
func (e *Env) Graph(ctx context.Context) (*gc.Graph, error) {
	g := &gc.Graph{}
	store, err := e.Rootfs()
	if err != nil {
		return g, err
	}
	// First what is there, then who needs it: what is made meanwhile is not taken for an orphan.
	err = e.EachDriver(func(driver string, store *rootfs.Store) error { return store.GraphSnapshots(ctx, g, driver) })
	err = errors.Join(err, store.GraphImages(ctx, g))
	return g, errors.Join(err, e.Volumes().Graph(g), e.graphContainers(g))
}

// graphContainers adds all containers to g: each needs the snapshots of its id and its volumes. One that is being made, changed or
// run is claimed, and stays. One without a record, or with --rm whose lrun was killed, stays for nothing.
func (e *Env) graphContainers(g *gc.Graph) error {
	store := e.Runtime()
	ids, err := store.IDs()
	errs := []error{err}
	for _, id := range ids {
		n := gc.Node{ID: gc.ID{Kind: gc.Container, Name: id}, Needs: []gc.ID{{Kind: gc.Key, Name: id}}, Kept: store.Watched(id)}
		if _, twice := g.Node(n.ID); twice {
			continue
		}
		c, err := store.Get(id)
		switch {
		case errors.Is(err, errdefs.ErrNotFound):
			c.ID = id
		case err != nil:
			errs, n.Kept, c.ID = append(errs, err), true, id
		default:
			n.Kept = n.Kept || !c.Remove || !store.Abandoned(id)
		}
		n.Paths = e.containerPaths(c)
		for _, m := range c.Settings.Mounts {
			if m.Type == "volume" {
				n.Needs = append(n.Needs, gc.ID{Kind: gc.Volume, Name: m.Name})
			}
		}
		g.Add(n)
	}
	return errors.Join(errs...)
}

// containerPaths are all that c has in the root, by whatever names.
func (e *Env) containerPaths(c runtime.Container) []string {
	paths := []string{e.Runtime().Dir(c.ID)}
	name := filepath.Join(e.Root(), "names", c.Name)
	if holder, err := os.ReadFile(name); err == nil && string(holder) == c.ID {
		paths = append(paths, name)
	}
	if ids := c.Settings.UserNS; ids.Auto {
		paths = append(paths, filepath.Join(e.Root(), "userns", strconv.FormatUint(uint64(ids.UIDs[0].Host), 10)))
	}
	return paths
}
