package conformance

import (
	"context"
	"fmt"
	"maps"
	"strings"

	cmount "github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/filters"
	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/snapshot"
)

// snapshotter is a Store in the form of containerd's interface. It changes forms, and decides nothing.
type snapshotter struct{ store *snapshot.Store }

var _ snapshots.Snapshotter = (*snapshotter)(nil)

func (s *snapshotter) Stat(ctx context.Context, key string) (snapshots.Info, error) {
	i, err := s.store.Stat(ctx, key)
	return info(i), err
}

// Update changes labels, all of them unless there are paths; nothing else of a snapshot can change.
func (s *snapshotter) Update(ctx context.Context, to snapshots.Info, paths ...string) (snapshots.Info, error) {
	for _, p := range paths {
		if p != "labels" && !strings.HasPrefix(p, "labels.") {
			return snapshots.Info{}, fmt.Errorf("change %q: %w", p, errdefs.ErrInvalidArgument)
		}
	}
	i, err := s.store.Relabel(ctx, to.Name, func(labels map[string]string) map[string]string {
		if len(paths) == 0 {
			return to.Labels
		}
		now := maps.Clone(labels)
		for _, p := range paths {
			name, one := strings.CutPrefix(p, "labels.")
			if !one {
				now = maps.Clone(to.Labels)
			} else if value, ok := to.Labels[name]; ok {
				now[name] = value
			} else {
				delete(now, name)
			}
		}
		return now
	})
	return info(i), err
}

func (s *snapshotter) Usage(ctx context.Context, key string) (snapshots.Usage, error) {
	u, err := s.store.Usage(ctx, key)
	return snapshots.Usage{Size: u.Size, Inodes: u.Inodes}, err
}

func (s *snapshotter) Mounts(ctx context.Context, key string) ([]cmount.Mount, error) {
	m, err := s.store.Mounts(ctx, key)
	return mounts(m), err
}

func (s *snapshotter) Prepare(ctx context.Context, key, parent string, opts ...snapshots.Opt) ([]cmount.Mount, error) {
	o, err := options(opts)
	if err != nil {
		return nil, err
	}
	m, err := s.store.PrepareMounts(ctx, key, parent, o)
	return mounts(m), err
}

func (s *snapshotter) View(ctx context.Context, key, parent string, opts ...snapshots.Opt) ([]cmount.Mount, error) {
	o, err := options(opts)
	if err != nil {
		return nil, err
	}
	if _, err := s.store.View(ctx, key, parent, o); err != nil {
		return nil, err
	}
	return s.Mounts(ctx, key)
}

func (s *snapshotter) Commit(ctx context.Context, name, key string, opts ...snapshots.Opt) error {
	o, err := options(opts)
	if err != nil {
		return err
	}
	return s.store.Commit(ctx, name, key, o)
}

func (s *snapshotter) Remove(ctx context.Context, key string) error { return s.store.Remove(ctx, key) }

func (s *snapshotter) Walk(ctx context.Context, fn snapshots.WalkFunc, filter ...string) error {
	f, err := filters.ParseAll(filter...)
	if err != nil {
		return err
	}
	return s.store.Walk(ctx, func(i snapshot.Info) error {
		if !f.Match(fields(i)) {
			return nil
		}
		return fn(ctx, info(i))
	})
}

// Close has nothing to do: a Store keeps nothing open.
func (s *snapshotter) Close() error { return nil }

// fields shows filters what they may ask for.
func fields(i snapshot.Info) filters.Adaptor {
	return filters.AdapterFunc(func(path []string) (string, bool) {
		value := ""
		switch path[0] {
		case "name":
			value = i.Key
		case "parent":
			value = i.Parent
		case "kind":
			value = string(i.Kind)
		case "labels":
			value = i.Labels[strings.Join(path[1:], ".")]
		}
		return value, value != ""
	})
}

// info is i in containerd's form.
func info(i snapshot.Info) snapshots.Info {
	return snapshots.Info{
		Kind: snapshots.ParseKind(string(i.Kind)), Name: i.Key, Parent: i.Parent,
		Labels: i.Labels, Created: i.Created, Updated: i.Updated,
	}
}

// options are those of containerd that the suite gives: labels.
func options(opts []snapshots.Opt) (snapshot.Opt, error) {
	var i snapshots.Info
	for _, o := range opts {
		if err := o(&i); err != nil {
			return nil, err
		}
	}
	return snapshot.WithLabels(i.Labels), nil
}

// mounts are mounts in the form of mount(8).
func mounts(all []mount.Mount) (out []cmount.Mount) {
	for _, m := range all {
		c := cmount.Mount{Type: m.Type, Source: m.Source}
		if m.Type == "bind" {
			c.Options = append(c.Options, "rbind")
		}
		if m.ReadOnly {
			c.Options = append(c.Options, "ro")
		}
		for _, o := range m.Options {
			value := o.Value + strings.Join(o.Dirs, ":")
			c.Options = append(c.Options, strings.TrimSuffix(o.Key+"="+value, "="))
		}
		out = append(out, c)
	}
	return out
}
