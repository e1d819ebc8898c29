package usage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/internal/gc"
	"github.com/lrun-dev/lrun/internal/tree"
	"github.com/lrun-dev/lrun/rootfs/chain"
)

// part is a row of the table of all bytes. A part's number is its owner in the census; the nodes of the graph come after.
type part int

// The parts, in the order of the table.
const (
	uniqueLayers part = iota
	sharedLayers
	otherLayers
	blobs
	writable
	containerFiles
	logs
	volumeFiles
	cache
	staging
	orphans
	records
	foreign
	parts // how many there are
)

// names are the kind and the name of p, for people.
func (p part) names() (string, string) {
	switch p {
	case uniqueLayers:
		return string(images), "layers of one image"
	case sharedLayers:
		return string(images), "layers of several images"
	case otherLayers:
		return string(images), "layers of no image"
	case blobs:
		return string(images), "blobs"
	case writable:
		return string(containers), "writable layers"
	case containerFiles:
		return string(containers), "records"
	case logs:
		return string(containers), "logs"
	case volumeFiles:
		return string(volumes), "files"
	case cache:
		return string(buildCache), "steps"
	case staging:
		return "Store", "staging"
	case orphans:
		return "Store", "orphans"
	case records:
		return "Store", "records and directories"
	case foreign, parts:
	}
	return "Other", "not lrun's"
}

// byteRow is one row of the table of all bytes.
type byteRow struct {
	Type  string
	Part  string
	Size  string
	Bytes int64
}

func byteColumns() []format.Column {
	return []format.Column{
		{Header: "TYPE", Field: "Type"},
		{Header: "PART", Field: "Part"},
		{Header: "SIZE", Field: "Size"},
		{Header: "BYTES", Field: "Bytes"},
	}
}

// measured is what a walk of the root has found.
type measured struct {
	rows  []byteRow
	total int64
	bytes map[gc.ID]int64 // of each node
}

// measure walks the root.
func (v *inventory) measure(ctx context.Context, users map[gc.ID]int) (measured, error) {
	var o tree.Owners
	if err := v.giveFixed(&o); err != nil {
		return measured{}, err
	}
	for i, n := range v.nodes {
		for _, path := range n.Paths {
			if rel, err := filepath.Rel(v.env.Root(), path); err == nil && filepath.IsLocal(rel) {
				o.Give(rel, int(parts)+i)
			}
		}
	}
	counted, err := o.Census(ctx, v.env.Root()+"/.") // which may be a link itself
	if err != nil {
		return measured{}, err
	}
	counted = append(counted, make([]int64, int(parts)+len(v.nodes)-len(counted))...)
	m := measured{bytes: map[gc.ID]int64{}}
	var sums [parts]int64
	copy(sums[:], counted)
	partOf := v.parts(users)
	for i, n := range v.nodes {
		size := counted[int(parts)+i]
		m.bytes[n.ID] = size
		sums[partOf(n)] += size
	}
	for p, size := range sums {
		kind, name := part(p).names()
		m.rows = append(m.rows, byteRow{Type: kind, Part: name, Size: format.DiskSize(size), Bytes: size})
		m.total += size
	}
	return m, nil
}

// giveFixed gives away what is at the same place in every root (docs/format.md), with what the graph does not tell of: records that
// cannot be read, and such as belong to nothing. What is elsewhere is not lrun's.
func (v *inventory) giveFixed(o *tree.Owners) error {
	o.Give(".", int(foreign))
	for _, path := range []string{".", "images", "images/blobs", "images/blobs/sha256", "images/blobs/sha384", "images/blobs/sha512", "snapshots"} {
		o.GiveAlone(path, int(records))
	}
	for _, path := range []string{"format.json", "lock", "images/oci-layout", "images/index.json", "ingest", "containers", "mountpoints", "names", "userns", "volumes"} {
		o.Give(path, int(records))
	}
	o.Give("unpack", int(staging))
	o.GiveAlone("unpack", int(records))
	entries, err := os.ReadDir(filepath.Join(v.env.Root(), "snapshots"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		dir := filepath.Join("snapshots", e.Name())
		switch {
		case strings.HasPrefix(e.Name(), ".overlay-probe-"):
			o.Give(dir, int(staging))
		case env.IsDriver(e.Name()):
			for _, path := range []string{".", "data", "staging"} {
				o.GiveAlone(filepath.Join(dir, path), int(records))
			}
			o.Give(filepath.Join(dir, "lock"), int(records))
			o.Give(filepath.Join(dir, "records"), int(records))
		}
	}
	return err
}

// parts returns what tells in which row a node of the graph is. users says how many images need each.
func (v *inventory) parts(users map[gc.ID]int) func(gc.Node) part {
	lost, unpacking := map[gc.ID]bool{}, v.unpacking()
	for _, n := range v.graph.Lost() {
		lost[n.ID] = true
	}
	return func(n gc.Node) part {
		switch {
		case lost[n.ID]:
			return orphans
		case n.Kind == gc.Staging, n.Kind == gc.KeptBlob, unpacking[n.ID]:
			return staging
		case v.containers[n.ID] && n.Kind == gc.Data:
			return writable
		case v.containers[n.ID]:
			return containerFiles
		case n.Kind == gc.Volume:
			return volumeFiles
		case n.Kind == gc.Blob:
			return blobs
		}
		return [...]part{otherLayers, uniqueLayers, sharedLayers}[min(users[n.ID], 2)]
	}
}

// unpacking finds the layers that are being unpacked.
func (v *inventory) unpacking() map[gc.ID]bool {
	found := map[gc.ID]bool{}
	for _, n := range v.nodes {
		_, key, _ := strings.Cut(n.Name, "/")
		if _, is := chain.KeySession(key); !is || n.Kind != gc.Snapshot {
			continue
		}
		found[n.ID] = true
		for _, need := range n.Needs {
			found[need] = found[need] || need.Kind == gc.Data
		}
	}
	return found
}
