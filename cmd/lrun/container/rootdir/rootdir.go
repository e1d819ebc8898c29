// Package rootdir gives a container a directory of the host as its root, in place of an image (--rootfs).
package rootdir

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/internal/tree"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/overlay"
	"github.com/lrun-dev/lrun/rootfs/chain"
	"github.com/lrun-dev/lrun/runtime"
	"github.com/lrun-dev/lrun/snapshot/quota"
)

// Parse reads DIR or DIR:rw and returns the directory that it means, without links in its name. A directory that holds
// one of lrun's own, or lies in one, is errdefs.ErrInvalidArgument: the container would see, and change, the store.
func Parse(value string, own ...string) (dir string, write bool, err error) {
	dir, write = strings.CutSuffix(value, ":rw")
	if dir == "" {
		return "", false, fmt.Errorf("--rootfs %q: give DIR or DIR:rw: %w", value, errdefs.ErrInvalidArgument)
	}
	if dir, err = filepath.Abs(dir); err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return "", false, fmt.Errorf("--rootfs %q: %w", value, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", false, err
	}
	if !info.IsDir() {
		return "", false, fmt.Errorf("--rootfs %q: it is no directory; an archive becomes an image with 'lrun import': %w", value, errdefs.ErrInvalidArgument)
	}
	for _, o := range own {
		if resolved, err := filepath.EvalSymlinks(o); err == nil {
			o = resolved
		}
		if below(o, dir) || below(dir, o) {
			return "", false, fmt.Errorf("--rootfs %q: lrun's own %s and this directory lie one in the other; use a copy, or another --root and --state: %w",
				value, o, errdefs.ErrInvalidArgument)
		}
	}
	return dir, write, nil
}

// below tells whether path is dir or lies in it.
func below(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// Prepare completes the container's empty snapshot, whose own bytes are in upper. A driver that does not merge copies
// the whole directory.
func Prepare(ctx context.Context, c *runtime.Container, upper string) error {
	switch {
	case c.RootWrite:
		return nil
	case c.Driver == "overlayfs":
		return quota.In(upper, func(upper string) error { return tree.CopyRoot(upper, c.RootDir) })
	}
	return quota.In(upper, func(upper string) error {
		if err := os.Remove(upper); err != nil {
			return err
		}
		return tree.Copy(ctx, upper, c.RootDir)
	})
}

// Mount says how to mount the container's root.
func Mount(c runtime.Container, upper string, method mount.Method) (mount.Mount, error) {
	if c.RootWrite {
		return mount.Mount{Type: "bind", Source: c.RootDir, Options: []mount.Option{{Key: "rbind"}}}, nil
	}
	over, err := quota.OverTree(upper)
	if err != nil || c.Driver != "overlayfs" {
		return mount.Mount{Type: "bind", Source: upper, Over: over}, err
	}
	work := filepath.Join(filepath.Dir(upper), "work")
	m, err := overlay.Mount([]string{c.RootDir}, upper, work, overlay.Options{Volatile: c.Remove && over == nil, Method: method})
	m.Over = over
	return m, err
}

// Open opens the container's root for reading, while it runs or not. The caller closes it.
func Open(c runtime.Container, upper string) (*os.File, error) {
	if c.RootWrite || c.Driver != "overlayfs" {
		m, err := Mount(c, upper, mount.ByNumber)
		if err != nil {
			return nil, err
		}
		m.ReadOnly = true
		return m.Open()
	}
	return chain.OpenMerged([]string{upper, c.RootDir})
}
