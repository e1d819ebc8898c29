package main

import (
	"context"

	"github.com/lrun-dev/lrun/cmd/lrun/container"
	"github.com/lrun-dev/lrun/cmd/lrun/inspect"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
)

// containers finds containers for `lrun inspect`.
func containers(e *env.Env) inspect.Inspector { return containerInspector{e} }

type containerInspector struct{ env *env.Env }

// Type is the word for what is inspected.
func (containerInspector) Type() string { return "container" }

// sizedContainer is a container with what --size adds.
type sizedContainer struct {
	container.Inspection
	SizeRw     int64 // what the container itself has written
	SizeRootFs int64 // that and the image below
}

// Inspect returns what is known of the container that name means.
func (i containerInspector) Inspect(ctx context.Context, name string, size bool) (any, error) {
	if err := i.env.Privileged(); err != nil {
		return nil, err
	}
	v, err := container.Inspect(ctx, i.env, name)
	if err != nil || !size {
		return v, err
	}
	roots, err := i.env.RootfsOf(v.Driver)
	if err != nil {
		return nil, err
	}
	usage, err := roots.Snapshots.Usage(ctx, v.ID)
	if err != nil {
		return nil, err
	}
	chain, err := roots.Snapshots.Chain(ctx, v.ID)
	if err != nil {
		return nil, err
	}
	sized := sizedContainer{Inspection: v, SizeRw: usage.Size, SizeRootFs: usage.Size}
	for _, layer := range chain[1:] {
		sized.SizeRootFs += layer.Size
	}
	return sized, nil
}
