package launch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/lrun-dev/lrun/mount"
)

// ownDescriptors is how the source of a mount begins that is a descriptor of this process: a part of a volume.
const ownDescriptors = "/proc/self/fd/"

// attachParts gives the sources that are descriptors of this process a path below the bundle, for a runtime that is
// another process and knows only paths.
func (b *bundle) attachParts(config *specs.Spec) error {
	config.Mounts = slices.Clone(config.Mounts)
	for i := range config.Mounts {
		m := &config.Mounts[i]
		if !strings.HasPrefix(m.Source, ownDescriptors) {
			continue
		}
		at := filepath.Join(b.request.AttachAt, fmt.Sprintf("part%d", i))
		info, err := os.Stat(m.Source)
		if err != nil {
			return err
		}
		if info.IsDir() {
			err = os.Mkdir(at, 0o700)
		} else {
			err = os.WriteFile(at, nil, 0o600)
		}
		if err != nil {
			return err
		}
		if err := (mount.Mount{Type: "bind", Source: m.Source, Options: []mount.Option{{Key: "rbind"}}}).At(at); err != nil {
			return err
		}
		m.Source = at
	}
	return nil
}

// detachParts takes away what attachParts made below dir.
func detachParts(dir string) error {
	parts, err := filepath.Glob(filepath.Join(dir, "part*"))
	errs := []error{err}
	for _, at := range parts {
		err := mount.Unmount(at)
		if err == nil {
			err = os.Remove(at)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
