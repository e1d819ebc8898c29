package selinux

import (
	"fmt"
	"slices"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/mount"
)

// Mount gives the files of the mount m a context, which only the mount of a file system can, and not a bind:
// errdefs.ErrNotImplemented. With an empty one nothing changes.
func Mount(m mount.Mount, label string) (mount.Mount, error) {
	if label == "" {
		return m, nil
	}
	if m.Type == "bind" {
		return m, fmt.Errorf("label the root file system %s: its driver shows a directory as it is; use --driver overlayfs, or label=disable: %w", label, errdefs.ErrNotImplemented)
	}
	m.Options = append(slices.Clone(m.Options), mount.Option{Key: "context", Value: label})
	return m, nil
}
