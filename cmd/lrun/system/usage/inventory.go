package usage

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/prune"
	"github.com/lrun-dev/lrun/internal/gc"
)

// kind is a row of Docker's table.
type kind string

// The kinds.
const (
	images     kind = "Images"
	containers kind = "Containers"
	volumes    kind = "Local Volumes"
	buildCache kind = "Build Cache"
)

// inventory is what a root holds.
type inventory struct {
	prune.Holdings

	env        *env.Env
	graph      *gc.Graph
	nodes      []gc.Node
	containers map[gc.ID]bool // what is a container's, other than what it shares with others
	unused     prune.Unused
}

// take takes the inventory of e's root. An error tells of what could not be read; the inventory beside it, unless there is none,
// has all else.
func take(ctx context.Context, e *env.Env) (*inventory, error) {
	if _, err := e.Images(); err != nil {
		return nil, err
	}
	v := &inventory{env: e, containers: map[gc.ID]bool{}}
	read := make(chan error)
	go func() {
		var err error
		v.Holdings, err = prune.Read(ctx, e)
		read <- err
	}()
	g, err := e.Graph(ctx)
	errs := []error{err, <-read}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	v.graph, v.nodes = g, g.Nodes()
	v.unused, err = v.Unused(e)
	v.findContainers()
	return v, errors.Join(append(errs, err)...)
}

// findContainers finds out what is of containers alone: their records, and snapshots of their own, also of such as have gone.
func (v *inventory) findContainers() {
	own := func(snapshot gc.ID) {
		v.containers[snapshot] = true
		n, _ := v.graph.Node(snapshot)
		for _, need := range n.Needs {
			if need.Kind == gc.Data {
				v.containers[need] = true
			}
		}
	}
	for _, n := range v.nodes {
		if n.Kind == gc.Container {
			v.containers[n.ID] = true
		}
		_, key, _ := strings.Cut(n.Name, "/")
		if n.Kind == gc.Snapshot && prune.IsContainerID(key) {
			own(n.ID)
		}
	}
}

// kind tells in which row of Docker's table n is.
func (v *inventory) kind(n gc.Node) kind {
	switch {
	case v.containers[n.ID]:
		return containers
	case n.Kind == gc.Volume, n.Kind == gc.Staging && strings.HasPrefix(n.Name, filepath.Join(v.env.Root(), "volumes")+"/"):
		return volumes
	}
	return images
}
