package resolve

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/atomicfile"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// Write makes hosts, hostname and resolv.conf in dir, which are bound over the image's: they belong to the container and
// never to a layer. What is there it replaces. They are synced at the same time, which a journal writes at once.
func Write(dir string, settings spec.Settings, sync atomicfile.Sync) error {
	resolv, err := Conf(settings)
	if err != nil {
		return err
	}
	var g errgroup.Group
	for name, content := range map[string]string{"hosts": Hosts(settings), "hostname": settings.Hostname + "\n", "resolv.conf": resolv} {
		write := func() error { return writeFile(filepath.Join(dir, name), content, settings.Security.MountLabel, sync) }
		if sync == atomicfile.Durable {
			g.Go(write)
		} else if err := write(); err != nil { // no time to win
			return err
		}
	}
	return g.Wait()
}

// writeFile makes a file that the container's users can read, whatever the umask and, unless it is empty, with an SELinux label.
func writeFile(path, content, label string, sync atomicfile.Sync) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteString(content); err != nil {
		return err
	}
	if label != "" {
		if err := unix.Fsetxattr(int(f.Fd()), "security.selinux", []byte(label), 0); err != nil {
			return fmt.Errorf("label %s: %w", path, err)
		}
	}
	return errors.Join(f.Chmod(0o644), sync.File(f))
}
