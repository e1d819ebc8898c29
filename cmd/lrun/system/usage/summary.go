package usage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/internal/gc"
	"github.com/lrun-dev/lrun/internal/readahead"
	"github.com/lrun-dev/lrun/internal/tree"
	"github.com/lrun-dev/lrun/runtime"
)

// row is a line of Docker's table, with Docker's names for templates.
type row struct {
	Active      string
	Reclaimable string
	Size        string
	TotalCount  string
	Type        string
}

func summaryColumns() []format.Column {
	return []format.Column{
		{Header: "TYPE", Field: "Type"},
		{Header: "TOTAL", Field: "TotalCount"},
		{Header: "ACTIVE", Field: "Active"},
		{Header: "SIZE", Field: "Size"},
		{Header: "RECLAIMABLE", Field: "Reclaimable"},
	}
}

// amount is what there is of a kind, in bytes on disk.
type amount struct{ size, reclaimable int64 }

// summary makes Docker's table.
func (v *inventory) summary(ctx context.Context) ([]row, error) {
	amounts, err := v.amounts(ctx)
	counts := v.counts()
	var rows []row
	for _, k := range []kind{images, containers, volumes, buildCache} {
		a, c := amounts[k], counts[k]
		r := row{
			Type: string(k), TotalCount: strconv.Itoa(c.total), Active: strconv.Itoa(c.active),
			Size: format.DiskSize(a.size), Reclaimable: format.DiskSize(a.reclaimable),
		}
		if a.size > 0 {
			r.Reclaimable += fmt.Sprintf(" (%d%%)", a.reclaimable*100/a.size)
		}
		rows = append(rows, r)
	}
	return rows, err
}

// count is how many there are of a kind, and how many in use.
type count struct{ total, active int }

func (v *inventory) counts() map[kind]count {
	running := 0
	for _, st := range v.States {
		if st.Status == runtime.Running {
			running++
		}
	}
	distinct := map[string]bool{}
	for _, r := range v.Images {
		distinct[r.Image.String()] = true
	}
	return map[kind]count{
		images:     {len(distinct), len(distinct) - len(v.unused.Images)},
		containers: {len(v.Containers), running},
		volumes:    {len(v.Volumes), len(v.Volumes) - len(v.unused.Volumes)},
	}
}

// amounts adds up the sizes of what the graph has, as they were written down, or else counted now.
func (v *inventory) amounts(ctx context.Context) (map[kind]amount, error) {
	amounts := map[kind]amount{}
	var errs []error
	sizes := make(map[gc.ID]int64, len(v.nodes))
	i := 0
	for size, err := range readahead.Each(len(v.nodes), 32, func(i int) (int64, error) { return sizeOf(ctx, v.nodes[i]) }) {
		n := v.nodes[i]
		i++
		errs = append(errs, err)
		sizes[n.ID] = size
		a := amounts[v.kind(n)]
		a.size += size
		amounts[v.kind(n)] = a
	}
	kinds, dropped := []kind{images, containers, volumes}, [][]gc.ID{slices.Concat(v.unused.Images, v.graph.KeptBlobs()), v.unused.Containers, v.unused.Volumes}
	reclaimable := func(i int) (sum int64, _ error) {
		for _, n := range v.graph.Lost(dropped[i]...) {
			if v.kind(n) == kinds[i] {
				sum += sizes[n.ID]
			}
		}
		return sum, nil
	}
	i = 0
	for sum, err := range readahead.Each(len(kinds), 1, reclaimable) {
		errs = append(errs, err)
		a := amounts[kinds[i]]
		a.reclaimable += sum
		amounts[kinds[i]] = a
		i++
	}
	index, err := allocated(ctx, filepath.Join(v.env.Root(), "images", "index.json"))
	a := amounts[images]
	a.size, a.reclaimable = a.size+index, a.reclaimable+v.unused.Index
	amounts[images] = a
	return amounts, errors.Join(append(errs, err)...)
}

// sizeOf is how many bytes n takes on disk.
func sizeOf(ctx context.Context, n gc.Node) (size int64, err error) {
	if n.Disk > 0 {
		return n.Disk, nil
	}
	for _, path := range n.Paths {
		s, err := allocated(ctx, path)
		if err != nil {
			return size, err
		}
		size += s
	}
	return size, nil
}

// allocated is tree.Allocated, and nothing for what is not there.
func allocated(ctx context.Context, path string) (int64, error) {
	size, err := tree.Allocated(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return size, err
}
