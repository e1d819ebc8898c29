package mounts

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/internal/inroot"
	"github.com/lrun-dev/lrun/layer"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/runtime/spec"
	"github.com/lrun-dev/lrun/volume"
)

// Root opens what the container has before anything is mounted in it. The caller closes it.
type Root func(ctx context.Context) (*os.File, error)

// HasVolumes tells whether Make has volumes to make, whose names the container's record needs.
func HasVolumes(c *runtime.Container) bool {
	return slices.ContainsFunc(c.Settings.Mounts, func(m spec.Mount) bool { return m.Type == "volume" })
}

// Make makes what the mounts of a new container need: its volumes, each filled at its first use with what the image
// has in its place, and the directories that -v names and the host has not. The volumes are held until the caller
// calls done, which is never nil, after it has recorded the container: nobody removes them in between.
func Make(ctx context.Context, store *volume.Store, c *runtime.Container, root Root) (done func() error, err error) {
	var held []*volume.Held
	done = func() error {
		var errs []error
		for _, h := range held {
			errs = append(errs, h.Close())
		}
		return errors.Join(errs...)
	}
	volumes := map[string]*volume.Held{}
	for _, name := range names(c.Settings.Mounts) {
		h, err := obtain(ctx, store, c, name)
		if h != nil {
			held = append(held, h)
		}
		if err != nil {
			return done, err
		}
		volumes[name] = h
	}
	for i := range c.Settings.Mounts {
		m := &c.Settings.Mounts[i]
		switch m.Type {
		case "bind":
			if m.New.MakeSource {
				err = makeSource(m.Source)
			}
		case "volume":
			m.Source = store.Path(volumes[m.Name].Volume)
			m.IDMap = volumes[m.Name].Device() == "" // a directory of the host keeps its owners
			err = fill(ctx, volumes[m.Name], c, m, root)
		}
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// names gives the anonymous volumes of mounts their names and returns those of all, in their order and each once.
func names(mounts []spec.Mount) []string {
	var list []string
	for i := range mounts {
		m := &mounts[i]
		if m.Type != "volume" {
			continue
		}
		if m.Name == "" {
			m.Name = volume.NewName()
		}
		list = append(list, m.Name)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// obtain holds a volume, made if it is missing. One that nobody named is tied to the container.
func obtain(ctx context.Context, store *volume.Store, c *runtime.Container, name string) (*volume.Held, error) {
	i := slices.IndexFunc(c.Settings.Mounts, func(m spec.Mount) bool { return m.Type == "volume" && m.Name == name })
	m := c.Settings.Mounts[i]
	if m.Shared {
		h, err := store.Hold(name)
		if err == nil && m.Anonymous {
			err = store.Tie(name, c.ID)
		}
		return h, err
	}
	o := volume.Options{Labels: m.New.Labels, Options: m.New.Options}
	if !m.Anonymous {
		return store.Obtain(ctx, name, o)
	}
	o.Container, o.Volatile = c.ID, c.Remove
	o.Labels = map[string]string{volume.AnonymousLabel: ""}
	maps.Copy(o.Labels, m.New.Labels)
	return store.Create(ctx, name, o)
}

// fill gives a volume what the image has in its place.
func fill(ctx context.Context, h *volume.Held, c *runtime.Container, m *spec.Mount, root Root) error {
	if m.NoCopy || m.Shared || m.Subpath != "" {
		return nil
	}
	durable := atomicfile.Durable
	if m.Anonymous && c.Remove {
		durable = atomicfile.Volatile
	}
	return h.Fill(durable, func(dir *os.File) (err error) {
		f, err := root(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		return copyFromImage(ctx, f, m.Target, dir)
	})
}

// makeSource makes a directory that is missing, and its parents, with mode 0755 whatever the umask: the container's user
// is seldom lrun's. It is made so and not changed later, when somebody else may have put a link in its place.
func makeSource(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	defer unix.Umask(unix.Umask(0o022))
	return os.MkdirAll(path, 0o755)
}

// copyFromImage fills dir with the directory target of the container's root. What the image does not have, or has as
// something else than a directory, leaves dir empty.
func copyFromImage(ctx context.Context, root *os.File, target string, dir *os.File) (err error) {
	source, err := inroot.Open(root, target, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	return errors.Join(copyTree(ctx, source, dir), copyOwner(source, dir))
}

// copyOwner gives a directory the mode and the owner of another one.
func copyOwner(from, to *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &st); err != nil {
		return err
	}
	return errors.Join(unix.Fchown(int(to.Fd()), int(st.Uid), int(st.Gid)), unix.Fchmod(int(to.Fd()), st.Mode&0o7777))
}

// copyTree copies by a tar stream: layers already keep everything that a copy must keep.
func copyTree(ctx context.Context, from, to *os.File) error {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := layer.WriteTar(ctx, w, from, layer.TarOptions{})
		_ = w.CloseWithError(err) // never fails
		written <- err
	}()
	_, err := layer.Apply(ctx, to, r, layer.ApplyOptions{})
	_ = r.CloseWithError(err) // never fails
	return errors.Join(err, <-written)
}
