package settings

import (
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/snapshot/quota"
)

// diskFlags limit what the container's own files take on disk.
type diskFlags struct {
	disk    string
	options cli.StringSlice
}

func (f *diskFlags) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "disk", Usage: "limit what the container writes to `BYTES`, with a unit like 512m or 2g, 16m at least", DefaultText: "no limit", Destination: &f.disk},
		&cli.StringSliceFlag{Name: "storage-opt", Usage: "size=BYTES is --disk in Docker's way: `OPTION`", Destination: &f.options},
	}
}

// size returns the limit in bytes; 0 is none. rootfs is --rootfs.
func (f *diskFlags) size(rootfs string) (int64, error) {
	flag, value := "--disk", f.disk
	for _, option := range f.options.Value() {
		name, v, _ := strings.Cut(option, "=")
		if !strings.EqualFold(name, "size") {
			return 0, fmt.Errorf("--storage-opt %q is not supported: there is size=BYTES alone: %w", option, errdefs.ErrNotImplemented)
		}
		if flag, v = "--storage-opt size", strings.TrimSpace(v); value != "" && value != v {
			return 0, invalid("the size of the disk is given twice, as %s and as %s: give one", value, v)
		}
		if value = v; value == "" {
			return 0, invalid("--storage-opt %q: give size=BYTES, with a unit like 512m or 2g", option)
		}
	}
	if value == "" {
		return 0, nil
	}
	bytes, err := units.RAMInBytes(value)
	switch {
	case err != nil || bytes < 0:
		return 0, invalid("%s %q: give a number with a unit b, k, m or g", flag, value)
	case bytes < quota.MinSize:
		return 0, invalid("%s %q: the least is 16m", flag, value)
	case strings.HasSuffix(rootfs, ":rw"):
		return 0, invalid("%s with --rootfs %s: what the container writes is written to that directory, which is not limited; leave :rw or %s out", flag, rootfs, flag)
	}
	return bytes, nil
}
