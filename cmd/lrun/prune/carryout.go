package prune

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/each"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/internal/gc"
	"github.com/lrun-dev/lrun/rootfs"
)

// outcome is what goes, or has gone.
type outcome struct {
	containers, volumes, leftovers []string
	blobs                          []string // digests
	images                         []rootfs.Removed
	bytes                          int64
}

// expected is the outcome of a plan that nothing comes in the way of.
func (p *plan) expected(root string) outcome {
	o := outcome{p.containers, p.volumes, relative(root, p.leftovers), p.blobs, p.removed, p.total()}
	for _, path := range p.cgroups {
		o.leftovers = append(o.leftovers, "cgroup "+path)
	}
	return o
}

// carryOut does what the plan says, with the same locks and checks as rm, rmi and volume rm: what has come into use meanwhile stays.
// One thing that resists does not stop the rest.
func (p *plan) carryOut(ctx context.Context, e *env.Env, taggedToo bool) (outcome, error) {
	var o outcome
	err := each.Named(p.containers, func(id string) (string, string, error) { return id, id, nil },
		func(_, id string) error { return e.Containers.Prune(ctx, id) },
		func(id string) error { o.containers = append(o.containers, id); return nil })
	errs := []error{each.Without(each.Without(err, errdefs.ErrFailedPrecondition), errdefs.ErrNotFound)}
	for _, name := range p.volumes {
		err := RemoveVolume(ctx, e, name)
		if err == nil {
			o.volumes = append(o.volumes, name)
		}
		errs = append(errs, unlessTaken(err))
	}
	o.blobs, err = p.removeBlobs(e)
	errs = append(errs, err)
	before := p.indexBlocks()
	if len(p.images) > 0 { // which takes some room for the list of the others
		store, err := e.Rootfs()
		if err != nil {
			return o, errors.Join(append(errs, err)...)
		}
		o.images, err = store.Prune(ctx, p.images, taggedToo, func() (rootfs.InUse, error) {
			use, err := e.Containers.ImageUse(ctx)
			return use, err
		})
		errs = append(errs, err)
	}
	errs = append(errs, p.sweep(ctx, e))
	var swept []gc.Node
	for _, n := range p.leftovers {
		if gone(n) {
			swept = append(swept, n)
		}
	}
	groups, err := removeCgroups(e, p.cgroups)
	o.leftovers = append(relative(e.Root(), swept), groups...)
	o.bytes = p.reclaimed(before - p.indexBlocks())
	return o, errors.Join(append(errs, err)...)
}

// removeBlobs removes the blobs of the plan and returns those that it has removed.
func (p *plan) removeBlobs(e *env.Env) (removed []string, err error) {
	if len(p.blobs) == 0 {
		return nil, nil
	}
	blobs, err := e.Blobs()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, d := range p.blobs {
		err := blobs.RemoveKept(digest.Digest(d))
		if err == nil {
			removed = append(removed, d)
		}
		errs = append(errs, err)
	}
	return removed, errors.Join(errs...)
}

// indexBlocks is how many bytes the index of the images takes on disk.
func (p *plan) indexBlocks() int64 {
	var st unix.Stat_t
	if p.index == "" || unix.Stat(p.index, &st) != nil {
		return 0
	}
	return st.Blocks * 512
}

// sweep removes what killed processes have left.
func (p *plan) sweep(ctx context.Context, e *env.Env) error {
	var errs []error
	for _, n := range p.leftovers {
		id := n.Name
		if n.Kind == gc.Snapshot { // of a container that is not there, or the sweep below takes it
			_, id, _ = strings.Cut(id, "/")
		}
		if n.Kind != gc.Container && n.Kind != gc.Snapshot || !IsContainerID(id) {
			continue
		}
		errs = append(errs, unlessTaken(e.Containers.Prune(ctx, id)))
	}
	errs = append(errs, e.EachRootfs(func(store *rootfs.Store) error { return store.Sweep(ctx) }), e.Volumes().Sweep(ctx))
	return errors.Join(errs...)
}

// IsContainerID tells whether s has the form of the id of a container.
func IsContainerID(id string) bool {
	b, err := hex.DecodeString(id)
	return err == nil && len(b) == 32
}

// unlessTaken is err, or nothing when it says that something has come into use, or has gone.
func unlessTaken(err error) error {
	if errors.Is(err, errdefs.ErrFailedPrecondition) || errors.Is(err, errdefs.ErrNotFound) {
		return nil
	}
	return err
}

// RemoveVolume removes the volume name, which it holds, so that no container takes it meanwhile. One that a container uses is
// errdefs.ErrFailedPrecondition.
func RemoveVolume(ctx context.Context, e *env.Env, name string) error {
	h, err := e.Volumes().Hold(name)
	if err != nil {
		return err
	}
	users, err := e.Containers.VolumeUse(ctx)
	if used := users[name]; err == nil && len(used) > 0 {
		err = fmt.Errorf("remove volume %s: it is in use by container %s; remove that first (lrun rm): %w",
			name, strings.Join(shortened(used), ", "), errdefs.ErrFailedPrecondition)
	}
	if err != nil {
		return errors.Join(err, h.Close())
	}
	return h.Remove(ctx)
}

func shortened(ids []string) []string {
	var list []string
	for _, id := range ids {
		list = append(list, format.ShortID(id))
	}
	return list
}

// write shows an outcome as Docker does.
func (o outcome) write(e *env.Env, dryRun bool) error {
	var images []string
	for _, r := range o.images {
		for _, name := range r.Untagged {
			images = append(images, "untagged: "+format.Visible(name))
		}
		for _, id := range r.Deleted {
			images = append(images, "deleted: "+id)
		}
	}
	var b strings.Builder
	for _, section := range []struct {
		title string
		lines []string
	}{
		{"Deleted Containers:", o.containers},
		{"Deleted Volumes:", o.volumes},
		{"Deleted Images:", images},
		{"Deleted blobs of images that there was no room for:", o.blobs},
		{"Deleted leftovers of killed processes:", o.leftovers},
	} {
		if len(section.lines) > 0 {
			fmt.Fprintf(&b, "%s\n%s\n\n", section.title, strings.Join(section.lines, "\n"))
		}
	}
	b.WriteString("Total reclaimed space: " + format.Size(o.bytes))
	if dryRun {
		fmt.Fprintf(&b, " (%d bytes)", o.bytes)
	}
	_, err := fmt.Fprintln(e.Out, b.String())
	return err
}
