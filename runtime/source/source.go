// Package source finds at the moment of a start what mounts of a container need of the host.
package source

import (
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/inroot"
	"github.com/lrun-dev/lrun/mount"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// Resolve checks the sources of mounts and finds the parts of volumes. The files are closed (Close) once the container runs: the
// sources name them.
func Resolve(list []spec.Mount) (resolved []spec.Mount, files []*os.File, err error) {
	for _, m := range list {
		if err = checkPropagation(m); err != nil {
			break
		}
		if m.Subpath != "" {
			var part *os.File
			if part, err = openPart(m.Source, m.Subpath); err != nil {
				err = fmt.Errorf("open %s of volume %s: %w", m.Subpath, m.Name, err)
				break
			}
			files = append(files, part)
			m.Source = fmt.Sprintf("/proc/self/fd/%d", part.Fd())
		}
		resolved = append(resolved, m)
	}
	if err != nil {
		return nil, nil, errors.Join(err, Close(files))
	}
	return resolved, files, nil
}

// openPart opens a path inside a volume; no link leads out of it.
func openPart(volume, path string) (*os.File, error) {
	root, err := os.Open(volume)
	if err != nil {
		return nil, err
	}
	part, err := inroot.Open(root, path, unix.O_PATH, 0)
	return part, errors.Join(err, root.Close())
}

// checkPropagation refuses a propagation that the mount of the source cannot have, as Docker does: it would come true
// on no side.
func checkPropagation(m spec.Mount) error {
	needsShared := m.Propagation == "shared" || m.Propagation == "rshared"
	if !needsShared && m.Propagation != "slave" && m.Propagation != "rslave" {
		return nil
	}
	point, shared, slave, err := mount.Propagation(m.Source)
	switch {
	case err != nil:
		return err
	case needsShared && !shared:
		return fmt.Errorf("mount %s with propagation %s: it is mounted on %s, which is not shared (mount --make-shared %[3]s): %w",
			m.Source, m.Propagation, point, errdefs.ErrFailedPrecondition)
	case !shared && !slave:
		return fmt.Errorf("mount %s with propagation %s: it is mounted on %s, which is neither shared nor a slave (mount --make-shared %[3]s): %w",
			m.Source, m.Propagation, point, errdefs.ErrFailedPrecondition)
	}
	return nil
}

// Close closes what Resolve has opened.
func Close(files []*os.File) error {
	var errs []error
	for _, f := range files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
