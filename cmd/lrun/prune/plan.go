package prune

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/image"
	"github.com/lrun-dev/lrun/internal/gc"
	"github.com/lrun-dev/lrun/internal/tree"
	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/volume"
)

// request is what may go. What is nil stays.
type request struct {
	container func(runtime.Container) (bool, error)
	image     func(context.Context, image.Record) (bool, error)
	volume    func(volume.Volume) (bool, error)
	taggedToo bool // images that have a name
}

// plan is what a request comes to.
type plan struct {
	containers []string // ids, the newest first
	images     []digest.Digest
	volumes    []string
	blobs      []string         // digests of those that were kept of images that there was no room for
	removed    []rootfs.Removed // what would become of images, in their order
	leftovers  []gc.Node
	cgroups    []string
	lost       []counted
	index      string // the index of the images
	indexFreed int64  // bytes by which it gets smaller
}

// counted is a node that can go, with its bytes on disk.
type counted struct {
	gc.Node

	size int64
}

// planner makes a plan.
type planner struct {
	plan

	env     *env.Env
	request request
	graph   *gc.Graph
	kept    []runtime.Container // those that stay
}

// makePlan finds out what would go. It changes nothing. An error tells of what could not be read, which stays; the plan beside it
// is right.
func makePlan(ctx context.Context, e *env.Env, r request) (*plan, error) {
	g, broken := e.Graph(ctx)
	p := planner{env: e, request: r, graph: g}
	p.leftovers = g.Lost()
	var cgroupsErr error
	p.cgroups, cgroupsErr = lostCgroups(e)
	errs := []error{broken, cgroupsErr, p.chooseContainers(), p.chooseImages(ctx), p.chooseVolumes()}
	var dropped []gc.ID
	for _, id := range p.containers {
		dropped = append(dropped, gc.ID{Kind: gc.Container, Name: id})
	}
	for _, id := range p.images {
		dropped = append(dropped, gc.ID{Kind: gc.Image, Name: id.String()})
	}
	if r.image != nil {
		for _, id := range g.KeptBlobs() {
			p.blobs, dropped = append(p.blobs, id.Name), append(dropped, id)
		}
	}
	for _, name := range p.volumes {
		dropped = append(dropped, gc.ID{Kind: gc.Volume, Name: name})
	}
	for _, n := range g.Lost(dropped...) {
		size, err := sizeOf(ctx, n.Paths)
		errs = append(errs, err)
		p.lost = append(p.lost, counted{n, size})
	}
	errs = append(errs, p.describeImages(ctx))
	return &p.plan, errors.Join(errs...)
}

// chooseContainers takes those that do not run, and that nobody is making, starting or removing.
func (p *planner) chooseContainers() error {
	store := p.env.Runtime()
	all, err := store.List()
	errs := []error{err}
	slices.SortFunc(all, func(a, b runtime.Container) int {
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
	})
	for _, c := range all {
		goes := false
		if p.request.container != nil && !store.Watched(c.ID) {
			st, stErr := store.State(c.ID)
			if errdefs.IsNotFound(stErr) {
				continue // gone since
			}
			passes, err := p.request.container(c)
			goes = stErr == nil && err == nil && passes && st.Status != runtime.Running
			errs = append(errs, stErr, err)
		}
		if goes {
			p.containers = append(p.containers, c.ID)
		} else {
			p.kept = append(p.kept, c)
		}
	}
	return errors.Join(errs...)
}

// chooseImages takes those that no container uses that stays.
func (p *planner) chooseImages(ctx context.Context) error {
	if p.request.image == nil {
		return nil
	}
	images, err := p.env.Images()
	if err != nil {
		return err
	}
	records, err := images.List(ctx)
	if err != nil {
		return err
	}
	named := map[digest.Digest]bool{}
	for _, r := range records {
		named[r.Image] = named[r.Image] || !r.Ref.IsZero()
	}
	var errs []error
	for _, r := range records {
		used := slices.ContainsFunc(p.kept, func(c runtime.Container) bool { return c.ImageID == r.Image.String() })
		if used || named[r.Image] && !p.request.taggedToo || slices.Contains(p.images, r.Image) {
			continue
		}
		goes, err := p.request.image(ctx, r)
		if goes {
			p.images = append(p.images, r.Image)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// chooseVolumes takes those that no container uses that stays.
func (p *planner) chooseVolumes() error {
	if p.request.volume == nil {
		return nil
	}
	list, err := p.env.Volumes().List()
	errs := []error{err}
	for _, v := range list {
		used := slices.ContainsFunc(p.kept, func(c runtime.Container) bool { return uses(c, v.Name) })
		goes, err := p.request.volume(v)
		if goes && !used {
			p.volumes = append(p.volumes, v.Name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func uses(c runtime.Container, volume string) bool {
	for _, m := range c.Settings.Mounts {
		if m.Type == "volume" && m.Name == volume {
			return true
		}
	}
	return false
}

// describeImages says what would become of images and their layers, as rootfs.Store.Prune says what has.
func (p *planner) describeImages(ctx context.Context) error {
	if len(p.images) == 0 {
		return nil
	}
	images, err := p.env.Images()
	if err != nil {
		return err
	}
	driver, err := p.env.Driver()
	if err != nil {
		return err
	}
	records, err := images.List(ctx)
	if err != nil {
		return err
	}
	listed := map[string]bool{} // the layers that go and are not listed yet
	for _, n := range p.lost {
		if chain, ok := strings.CutPrefix(n.Name, driver.Name+"/"); ok && n.Kind == gc.Snapshot {
			listed[chain] = true
		}
	}
	for _, id := range p.images {
		own := slices.DeleteFunc(slices.Clone(records), func(r image.Record) bool { return r.Image != id })
		r := rootfs.Removed{Untagged: rootfs.Names(own), Deleted: []string{id.String()}}
		for _, rec := range own {
			im, err := images.Load(ctx, rec)
			if err != nil {
				return err
			}
			for _, c := range slices.Backward(im.ChainIDs()) {
				if listed[c.String()] {
					r.Deleted = append(r.Deleted, c.String())
					delete(listed, c.String())
				}
			}
		}
		p.removed = append(p.removed, r)
	}
	return p.weighIndex(images)
}

// weighIndex finds out how much smaller the index of the images gets.
func (p *planner) weighIndex(images *image.Store) (err error) {
	p.index, p.indexFreed, err = indexFreed(images, p.images)
	return err
}

// indexFreed returns the index of the images, and how many bytes on disk it takes less without ids. When none of them is in it, it
// returns nothing.
func indexFreed(images *image.Store, ids []digest.Digest) (path string, bytes int64, err error) {
	path, size, err := images.IndexWithout(ids...)
	if errors.Is(err, errdefs.ErrNotFound) {
		return "", 0, nil
	}
	var st unix.Stat_t
	if err == nil {
		err = unix.Stat(path, &st)
	}
	if err == nil && st.Blocks > 0 {
		bytes = st.Blocks*512 - roundUp(size, st.Blksize)
	}
	return path, bytes, err
}

// roundUp is size in whole blocks; how wide the field of their size is depends on the machine.
func roundUp[N int32 | int64](size int64, block N) int64 {
	b := max(int64(block), 1)
	return (size + b - 1) / b * b
}

// total is how many bytes go.
func (p *plan) total() int64 {
	sum := p.indexFreed
	for _, n := range p.lost {
		sum += n.size
	}
	return sum
}

// reclaimed is how many of them are gone by now.
func (p *plan) reclaimed(indexFreed int64) int64 {
	sum := indexFreed
	for _, n := range p.lost {
		if gone(n.Node) {
			sum += n.size
		}
	}
	return sum
}

// gone tells whether nothing of a node is there any more.
func gone(n gc.Node) bool {
	return !slices.ContainsFunc(n.Paths, func(path string) bool {
		_, err := os.Lstat(path)
		return !errors.Is(err, fs.ErrNotExist)
	})
}

// sizeOf is how many bytes paths take on disk, with all below them. What is missing takes none.
func sizeOf(ctx context.Context, paths []string) (int64, error) {
	var sum int64
	for _, path := range paths {
		size, err := tree.Allocated(ctx, path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return sum, err
		}
		sum += size
	}
	return sum, nil
}

// relative shortens the paths of leftovers for people.
func relative(root string, nodes []gc.Node) []string {
	var list []string
	for _, n := range nodes {
		for _, path := range n.Paths {
			if short, err := filepath.Rel(root, path); err == nil {
				path = short
			}
			list = append(list, path)
		}
	}
	return list
}
