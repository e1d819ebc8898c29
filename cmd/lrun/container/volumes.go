package container

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/internal/inroot"
	"github.com/lrun-dev/lrun/layer"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// fillVolumes makes the container's fresh volumes, each with what the image has at its path, and the
// directories that -v names and the host has not, as Docker does.
func fillVolumes(ctx context.Context, e *env.Env, c *runtime.Container) error {
	for i := range c.Settings.Mounts {
		m := &c.Settings.Mounts[i]
		switch m.Type {
		case "bind":
			if err := makeSource(m.Source); err != nil {
				return err
			}
		case "volume":
			v, err := volumes(e).Create(c.ID)
			if err != nil {
				return err
			}
			m.Name, m.Source = v.Name, volumes(e).Path(v.Name)
			c.Volumes = append(c.Volumes, v.Name)
			if err := copyFromImage(ctx, e, c.ID, m.Target, m.Source); err != nil {
				return err
			}
		}
	}
	return nil
}

func hasVolumes(c *runtime.Container) bool {
	return slices.ContainsFunc(c.Settings.Mounts, func(m spec.Mount) bool { return m.Type == "volume" })
}

func makeSource(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.MkdirAll(path, 0o755)
}

// copyFromImage fills the directory to with the directory target of the container's root. What the
// image does not have, or has as something else than a directory, leaves to empty.
func copyFromImage(ctx context.Context, e *env.Env, key, target, to string) (err error) {
	roots, err := e.Rootfs()
	if err != nil {
		return err
	}
	root, err := roots.OpenRoot(ctx, key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	source, err := inroot.Open(root, target, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	dir, err := os.Open(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
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
