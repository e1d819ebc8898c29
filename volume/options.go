package volume

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
)

// CheckOptions refuses the options of a volume that lrun does not carry out. What it does is a bind: type=none (or
// bind), o=bind, device=DIR make a volume that shows DIR.
func CheckOptions(options map[string]string) error {
	if len(options) == 0 {
		return nil
	}
	for name := range options {
		if name != "type" && name != "o" && name != "device" {
			return fmt.Errorf("volume option %q: there are only type, o and device: %w", name, errdefs.ErrInvalidArgument)
		}
	}
	switch kind := options["type"]; kind {
	case "", "none", "bind":
	case "tmpfs":
		return fmt.Errorf("volume option type=tmpfs: a volume is kept; use --tmpfs or --mount type=tmpfs: %w", errdefs.ErrNotImplemented)
	default:
		return fmt.Errorf("volume option type=%s: lrun mounts no filesystems for a volume; mount it on the host and make the volume with type=none, o=bind, device=DIR: %w",
			kind, errdefs.ErrNotImplemented)
	}
	bind := false
	for word := range strings.SplitSeq(options["o"], ",") {
		switch word {
		case "bind", "rbind":
			bind = true
		case "", "rw":
		default:
			return fmt.Errorf("volume option o=%s: of a bind there is only bind itself; give ro where the volume is used: %w", word, errdefs.ErrNotImplemented)
		}
	}
	if !bind || !filepath.IsAbs(options["device"]) {
		return fmt.Errorf("volume options: a bind needs o=bind and an absolute directory as device: %w", errdefs.ErrInvalidArgument)
	}
	return nil
}
