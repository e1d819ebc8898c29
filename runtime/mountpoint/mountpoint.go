// Package mountpoint keeps a directory with the names of all that lrun mounts in every container. Below the lowest layer of
// an overlay it spares a start to make in the upperdir what the image lacks, and the end of the container to delete it; and
// what the container wrote is all that its upperdir has.
package mountpoint

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/overlay"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// directory is its name in the root of the store, so that it lies on the layers' filesystem, as overlayfs wants for stable
// inode numbers.
const directory = "mountpoints"

// Below returns m, a container's root, with the directory of the store in root as its lowest layer. What an image has of
// these names, or has whited out, it covers. A root that is no overlay, or has as many layers as one can have, is returned as
// it is: what is missing there is made when it is mounted upon.
func Below(m mount.Mount, root string) (mount.Mount, error) {
	dir := filepath.Join(root, directory)
	below, ok := overlay.Under(m, dir)
	if !ok {
		return m, nil
	}
	return below, fill(dir)
}

// fill makes what is missing in dir. The last name stands for all: it is made last.
func fill(dir string) error {
	names := spec.MountPoints()
	last := names[len(names)-1]
	if _, err := os.Lstat(filepath.Join(dir, last)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		parent := filepath.Dir(path)
		if filepath.Dir(name) == "." {
			parent = path
		}
		if err := makeDirectories(dir, parent); err != nil {
			return err
		}
		if parent == path {
			continue
		}
		if err := unix.Mknod(path, unix.S_IFREG|0o644, 0); err != nil && !errors.Is(err, fs.ErrExist) {
			return &os.PathError{Op: "mknod", Path: path, Err: err}
		}
		if err := os.Chmod(path, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// makeDirectories makes dir and those from there to path, with the mode that a start gives what it makes, whatever the umask.
func makeDirectories(dir, path string) error {
	for _, d := range []string{dir, path} {
		err := os.Mkdir(d, 0o755)
		if err == nil {
			err = os.Chmod(d, 0o755)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}
