package filesystem

import (
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/mount"
)

// Bind clones the mount at source for a bind with the options of a configuration. An option that a bind cannot
// have is errdefs.ErrNotImplemented. With idmap the owners of the files are mapped by owners, which may else be nil. The caller closes the clone.
func Bind(source string, options []string, owners *mount.Owners) (*os.File, error) {
	attr, rest := Split(options)
	b := mount.Mount{Type: "bind", Source: source, ReadOnly: attr&unix.MOUNT_ATTR_RDONLY != 0}
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
	if mapped {
		return b.OpenMapped(*owners)
	}
	return b.Open()
}
