package filesystem

import (
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/mount"
)

// Bind clones the mount at the source of m, a bind of a configuration. An option that a bind cannot have is
// errdefs.ErrNotImplemented; what would hide parts of /proc is errdefs.ErrInvalidArgument (see OverProc). With idmap the owners of
// the files are mapped by owners, which is nil for a container in the host's user namespace. Root of another is held to what
// the host's mount allows, and what it mounts in a shared bind does not come to the host (see mount.OpenIn), if owners.Mounts is
// known. The caller closes the clone.
func Bind(m specs.Mount, owners *mount.Owners) (*os.File, error) {
	attr, rest := Split(m.Options)
	b := mount.Mount{Type: "bind", Source: m.Source, ReadOnly: attr&unix.MOUNT_ATTR_RDONLY != 0}
	mapped := false
	for _, option := range rest {
		switch option {
		case "rbind", "private", "shared", "rshared", "slave", "rslave":
			b.Options = append(b.Options, mount.Option{Key: option})
		case "rro":
			b.ReadOnly = true
			b.Options = append(b.Options, mount.Option{Key: option})
		case "idmap":
			if owners == nil {
				return nil, fmt.Errorf("the bind option idmap has no meaning without a user namespace: %w", errdefs.ErrInvalidArgument)
			}
			mapped = true
		case "bind", "rprivate":
		default:
			return nil, fmt.Errorf("the built-in runtime has no bind option %q; try --runtime runc: %w", option, errdefs.ErrNotImplemented)
		}
	}
	open := b.Open
	switch {
	case mapped && owners.Mounts != nil:
		open = func() (*os.File, error) { return b.OpenMappedIn(*owners) }
	case mapped:
		open = func() (*os.File, error) { return b.OpenMapped(*owners) }
	case owners != nil && owners.Mounts != nil:
		open = func() (*os.File, error) { return b.OpenIn(owners.Mounts) }
	}
	tree, err := open()
	if err != nil {
		return nil, err
	}
	if err := OverProc(m.Destination, tree); err != nil {
		return nil, errors.Join(err, tree.Close())
	}
	return tree, nil
}
