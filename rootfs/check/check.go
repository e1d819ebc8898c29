// Package check compares what a root says that it has with what is there: images with their blobs, layers with their
// manifests, chains with their records, containers with their snapshots and volumes, volumes with
// their directories. It reads and changes nothing.
//
// Many processes may work on the root meanwhile. What looks damaged is damage only if whatever names it is still there
// afterwards.
package check

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/image/blob"
	"github.com/lrun-dev/lrun/rootfs/dropped"
	"github.com/lrun-dev/lrun/snapshot"
	"github.com/lrun-dev/lrun/snapshot/layout"
	"github.com/lrun-dev/lrun/volume"
)

// Severity says what a finding means.
type Severity string

const (
	// Damage is something that is not as it was when it was stored.
	Damage Severity = "damaged"
	// Leftover is what a killed process or a crash has left; the sweep of the next command takes it away.
	Leftover Severity = "left over"
	// Unchecked is what nothing is known to compare with.
	Unchecked Severity = "not checked"
)

// Finding is one thing that is not as it should be.
type Finding struct {
	Severity Severity
	Kind     string   // "image", "blob", "layer", "container", "volume", "record", "index", "ingest"
	ID       string   // digest, ChainID, container id, name of a volume, or path of a file of the store
	Driver   string   `json:",omitempty"` // of a layer or a record
	Images   []string `json:",omitempty"` // names of the images that need it, or ids of those without a name
	Path     string   `json:",omitempty"` // in the layer, with a leading slash
	Problem  string
	Depth    int    `json:"-"`          // of a layer: how many are below it
	Key      string `json:"-"`          // of a record that counts as none: the snapshot's, as far as it is known
	Remedy   string `json:",omitempty"` // what to do; empty: `lrun fsck --repair`
}

// Summary counts what was looked at and found.
type Summary struct {
	Images, Blobs, Layers, Files, Containers, Volumes int

	Damaged, Leftovers, Unchecked int
}

// Driver is the snapshots of one driver.
type Driver struct {
	Name      string
	Snapshots *snapshot.Store
	Lost      *layout.Lost // what is told of it and of nothing that it has; nil but where there are no Snapshots
}

// Container is what is known of a container without its snapshot.
type Container struct {
	ID, Name, Driver string
	Snapshot         bool     // it has one: no --rootfs
	Holder           string   // who has its name; "" for nobody
	Volumes          []string // those that it mounts
	Problem          string   // what cannot be read of it; "" for nothing
}

// Containers are those of the root.
type Containers interface {
	// List returns all, and joined into the error what is wrong with the others.
	List() ([]Container, error)
	// Gone tells that the container id is no more.
	Gone(id string) bool
	// Busy tells that some process is making, running or removing the container id.
	Busy(id string) bool
}

// Root is what is checked.
type Root struct {
	Dir        string
	Images     *image.Store
	Blobs      *blob.Store
	Drivers    []Driver
	Containers Containers
	Volumes    *volume.Store // nil: there are none
}

// Options say how.
type Options struct {
	// Deep reads the bytes of all blobs and of all files of layers. Otherwise of blobs only the size is compared, of
	// files all but the bytes.
	Deep bool
	// Only are the images to be checked, with their blobs and layers; nil: everything.
	Only []image.Record
	// Report is told of each finding as soon as it is certain.
	Report func(Finding)
}

// Check checks root. Damage is no error: an error says that something could not be checked.
func Check(ctx context.Context, root Root, o Options) (Summary, error) {
	c := &checker{
		ctx: ctx, Root: root, Options: o,
		users: map[string][]string{}, depths: map[string]int{}, blobs: map[digest.Digest]bool{}, contents: map[digest.Digest]digest.Digest{},
	}
	c.dropped = dropped.New(root.Dir, root.Images, root.Blobs)
	steps := []func() error{c.images, c.layers}
	if o.Only == nil {
		steps = append(steps, c.containers, c.volumes, c.leftovers)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return c.sum, err
		}
		if err := ctx.Err(); err != nil {
			return c.sum, err
		}
	}
	return c.sum, nil
}

// checker is one check.
type checker struct {
	ctx context.Context
	Root
	Options
	sum Summary

	users  map[string][]string    // names of the images that need a ChainID
	depths map[string]int         // how many layers are below it
	stacks [][]digest.Digest      // of the images
	blobs  map[digest.Digest]bool // those that were looked at
	// contents are, with Deep, the DiffIDs of blobs; "" for those that are damaged or not there.
	contents map[digest.Digest]digest.Digest
	dropped  *dropped.Store
	unknown  bool // an image cannot be read, so nobody knows what it needs
}

// report counts and tells.
func (c *checker) report(f Finding) {
	switch f.Severity {
	case Damage:
		c.sum.Damaged++
	case Leftover:
		c.sum.Leftovers++
	case Unchecked:
		c.sum.Unchecked++
	}
	slices.Sort(f.Images)
	f.Images = slices.Compact(f.Images)
	if c.Report != nil {
		c.Report(f)
	}
}

// nameOf is how people know the image of r.
func nameOf(r image.Record) string {
	if r.Ref.IsZero() {
		return r.Image.String()
	}
	return r.Ref.Familiar()
}
