package usage

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/lrun-dev/lrun/cmd/lrun/container/list"
	imagecommand "github.com/lrun-dev/lrun/cmd/lrun/image"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/internal/gc"
	"github.com/lrun-dev/lrun/runtime"
)

// everything is what --verbose shows, with Docker's names for templates.
type everything struct {
	Images     []imageRow
	Containers []containerRow
	Volumes    []volumeRow
	BuildCache []cacheRow
	Bytes      []byteRow
	Total      int64 // of Bytes
}

type imageRow struct {
	Containers   string
	CreatedAt    string
	CreatedSince string
	ID           string
	Repository   string
	SharedSize   string
	Size         string
	Tag          string
	UniqueSize   string
}

type containerRow struct {
	Command      string
	CreatedAt    string
	ID           string
	Image        string
	LocalVolumes string
	Names        string
	RunningFor   string
	Size         string
	State        string
	Status       string
}

type volumeRow struct {
	Links string
	Name  string
	Size  string
}

// cacheRow is a step of a build; there is none yet.
type cacheRow struct {
	CacheType     string
	CreatedSince  string
	ID            string
	LastUsedSince string
	Shared        string
	Size          string
	UsageCount    string
}

func imageColumns() []format.Column {
	return []format.Column{
		{Header: "REPOSITORY", Field: "Repository"},
		{Header: "TAG", Field: "Tag"},
		{Header: "IMAGE ID", Field: "ID"},
		{Header: "CREATED", Field: "CreatedSince"},
		{Header: "SIZE", Field: "Size"},
		{Header: "SHARED SIZE", Field: "SharedSize"},
		{Header: "UNIQUE SIZE", Field: "UniqueSize"},
		{Header: "CONTAINERS", Field: "Containers"},
	}
}

func containerColumns() []format.Column {
	return []format.Column{
		{Header: "CONTAINER ID", Field: "ID"},
		{Header: "IMAGE", Field: "Image"},
		{Header: "COMMAND", Field: "Command"},
		{Header: "LOCAL VOLUMES", Field: "LocalVolumes"},
		{Header: "SIZE", Field: "Size"},
		{Header: "CREATED", Field: "RunningFor"},
		{Header: "STATUS", Field: "Status"},
		{Header: "NAMES", Field: "Names"},
	}
}

func volumeColumns() []format.Column {
	return []format.Column{
		{Header: "VOLUME NAME", Field: "Name"},
		{Header: "LINKS", Field: "Links"},
		{Header: "SIZE", Field: "Size"},
	}
}

func cacheColumns() []format.Column {
	return []format.Column{
		{Header: "CACHE ID", Field: "ID"},
		{Header: "CACHE TYPE", Field: "CacheType"},
		{Header: "SIZE", Field: "Size"},
		{Header: "CREATED", Field: "CreatedSince"},
		{Header: "LAST USED", Field: "LastUsedSince"},
		{Header: "USAGE", Field: "UsageCount"},
		{Header: "SHARED", Field: "Shared"},
	}
}

// everything counts every byte of the root.
func (v *inventory) everything(ctx context.Context) (*everything, error) {
	layers, users := v.layers()
	m, err := v.measure(ctx, users)
	if err != nil {
		return nil, err
	}
	all := &everything{Bytes: m.rows, Total: m.total, BuildCache: []cacheRow{}}
	imageUsers, volumeUsers := v.Users()
	all.Images = v.imageRows(m, layers, users, imageUsers)
	all.Containers = v.containerRows(m)
	all.Volumes = []volumeRow{}
	for _, volume := range v.Volumes {
		all.Volumes = append(all.Volumes, volumeRow{
			Name: volume.Name, Links: strconv.Itoa(volumeUsers[volume.Name]),
			Size: format.DiskSize(m.bytes[gc.ID{Kind: gc.Volume, Name: volume.Name}]),
		})
	}
	return all, nil
}

// layers returns what of layers each image needs, by its ID, and how many images need each.
func (v *inventory) layers() (layers map[string][]gc.ID, users map[gc.ID]int) {
	layers, users = map[string][]gc.ID{}, map[gc.ID]int{}
	for _, n := range v.nodes {
		if n.Kind != gc.Image {
			continue
		}
		for id := range v.graph.Reach(n.ID) {
			if id.Kind == gc.Snapshot || id.Kind == gc.Data {
				layers[n.Name] = append(layers[n.Name], id)
				users[id]++
			}
		}
	}
	return layers, users
}

func (v *inventory) imageRows(m measured, layers map[string][]gc.ID, users map[gc.ID]int, containers map[string]int) []imageRow {
	records := slices.SortedStableFunc(slices.Values(v.Images), func(a, b image.Record) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.Image, b.Image), cmp.Compare(a.Ref.Familiar(), b.Ref.Familiar()))
	})
	rows := []imageRow{}
	for _, r := range records {
		var size, shared int64
		for _, id := range layers[r.Image.String()] {
			size += m.bytes[id]
			if users[id] > 1 {
				shared += m.bytes[id]
			}
		}
		repository, tag := imagecommand.Names(r)
		rows = append(rows, imageRow{
			Repository: repository, Tag: tag, ID: format.ShortID(r.Image.String()),
			CreatedAt: format.Time(r.Created), CreatedSince: format.Ago(v.env.Now(), r.Created),
			Size: format.DiskSize(size), SharedSize: format.DiskSize(shared), UniqueSize: format.DiskSize(size - shared),
			Containers: strconv.Itoa(containers[r.Image.String()]),
		})
	}
	return rows
}

func (v *inventory) containerRows(m measured) []containerRow {
	sorted := slices.SortedStableFunc(slices.Values(v.Containers), func(a, b runtime.Container) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	})
	rows := []containerRow{}
	for _, c := range sorted {
		d := list.Describe(v.env.Now(), c, v.States[c.ID])
		mounted := 0
		for _, mount := range c.Settings.Mounts {
			if mount.Type == "volume" {
				mounted++
			}
		}
		rows = append(rows, containerRow{
			ID: d.ID, Image: d.Image, Command: d.Command, LocalVolumes: strconv.Itoa(mounted), Size: format.DiskSize(v.sizeOfContainer(m, c.ID)),
			CreatedAt: d.CreatedAt, RunningFor: d.RunningFor, State: d.State, Status: d.Status, Names: d.Names,
		})
	}
	return rows
}

// sizeOfContainer is what the container id alone has: its record, its files, and what it has written.
func (v *inventory) sizeOfContainer(m measured, id string) int64 {
	own := gc.ID{Kind: gc.Container, Name: id}
	size := m.bytes[own]
	key, _ := v.graph.Node(gc.ID{Kind: gc.Key, Name: id})
	for _, snapshot := range key.Needs {
		n, _ := v.graph.Node(snapshot)
		size += m.bytes[snapshot]
		for _, need := range n.Needs {
			if need.Kind == gc.Data {
				size += m.bytes[need]
			}
		}
	}
	return size
}

// write writes Docker's sections, and the table of all bytes.
func (a *everything) write(w io.Writer, root string) error {
	var b bytes.Buffer
	table := format.Format{}
	b.WriteString("Images space usage:\n\n")
	err := format.Write(&b, table, imageColumns(), a.Images)
	b.WriteString("\nContainers space usage:\n\n")
	err = cmp.Or(err, format.Write(&b, table, containerColumns(), a.Containers))
	b.WriteString("\nLocal Volumes space usage:\n\n")
	err = cmp.Or(err, format.Write(&b, table, volumeColumns(), a.Volumes))
	b.WriteString("\nBuild cache usage: 0B\n\n")
	err = cmp.Or(err, format.Write(&b, table, cacheColumns(), a.BuildCache))
	fmt.Fprintf(&b, "\nEvery byte of %s:\n\n", format.Visible(root))
	rows := append(slices.Clone(a.Bytes), byteRow{Type: "Total", Size: format.DiskSize(a.Total), Bytes: a.Total})
	err = cmp.Or(err, format.Write(&b, table, byteColumns(), rows))
	if err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}
