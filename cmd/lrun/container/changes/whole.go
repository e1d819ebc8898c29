package changes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/runtime"
)

// Whole calls read, which reads the files of c, and is errdefs.ErrNotFound when the container was removed before read
// returned: files that go away while a container is read are left out, so that what was read may lack any of them. The
// record of the snapshot goes before the first of its files, and no other container gets its id.
func Whole(ctx context.Context, e *env.Env, c runtime.Container, read func() error) error {
	err := read()
	if err != nil && !isAbsence(err) {
		return err
	}
	roots, rootsErr := e.RootfsOf(c.Driver)
	if rootsErr != nil {
		return errors.Join(err, rootsErr)
	}
	_, statErr := roots.Snapshots.Stat(ctx, c.ID)
	if errdefs.IsNotFound(statErr) {
		return fmt.Errorf("container %s was removed while it was read: %w", c.Name, errdefs.ErrNotFound)
	}
	if err == nil {
		err = statErr
	}
	return err
}

// isAbsence tells whether err may come of a removal.
func isAbsence(err error) bool {
	return errdefs.IsNotFound(err) || errdefs.IsDataLoss(err) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESTALE)
}
