package filesystem

import (
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/mount"
)

// Bind clones the mount at source for a bind with the options of a configuration. An option that a bind cannot
// have is errdefs.ErrNotImplemented. The caller closes the clone.
func Bind(source string, options []string) (*os.File, error) {
	attr, rest := Split(options)
	b := mount.Mount{Type: "bind", Source: source, ReadOnly: attr&unix.MOUNT_ATTR_RDONLY != 0}
	for _, option := range rest {
		switch option {
		case "rbind", "private", "shared", "rshared", "slave", "rslave":
			b.Options = append(b.Options, mount.Option{Key: option})
		case "rro":
			b.ReadOnly = true
			b.Options = append(b.Options, mount.Option{Key: option})
		case "bind", "rprivate":
		default:
			return nil, fmt.Errorf("the built-in runtime has no bind option %q; try --runtime runc: %w", option, errdefs.ErrNotImplemented)
		}
	}
	return b.Open()
}
