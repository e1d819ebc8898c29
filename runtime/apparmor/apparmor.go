// Package apparmor says what AppArmor of this machine can do for a container. The change of the profile itself is the
// start stage's, or the external runtime's.
package apparmor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
)

// Names of profiles that mean something to lrun.
const (
	Unconfined = "unconfined"
	// Default is Docker's profile. Containers get it where it is loaded; lrun itself loads none.
	Default = "docker-default"
)

// Host is where a machine tells about AppArmor.
type Host struct{ Sys string }

// This returns the machine that lrun runs on.
func This() Host { return Host{Sys: "/sys"} }

// Enabled says whether the kernel has AppArmor, and it is on.
func (h Host) Enabled() bool {
	b, err := os.ReadFile(filepath.Join(h.Sys, "module/apparmor/parameters/enabled"))
	return err == nil && strings.HasPrefix(string(b), "Y")
}

// Choose returns the profile that a container starts with: asked, or when that is empty the default one, where it is
// loaded and the container is not privileged. Empty: its processes keep lrun's own. A profile that is asked for where
// AppArmor is not is errdefs.ErrNotImplemented, one that is not loaded errdefs.ErrNotFound.
func (h Host) Choose(asked string, privileged bool) (string, error) {
	if !h.Enabled() {
		if asked == "" || asked == Unconfined {
			return "", nil
		}
		return "", fmt.Errorf("apparmor profile %q: the kernel has no AppArmor, or it is off (%s/module/apparmor/parameters/enabled is not Y); leave apparmor= out: %w",
			asked, h.Sys, errdefs.ErrNotImplemented)
	}
	if asked == "" {
		asked = Default
		if loaded, err := h.loaded(Default); privileged || err == nil && !loaded {
			return Unconfined, err
		}
	}
	if asked == Unconfined {
		return asked, nil
	}
	loaded, err := h.loaded(asked)
	if err == nil && !loaded {
		err = fmt.Errorf("apparmor profile %q: it is not loaded; load it with 'apparmor_parser -r FILE': %w", asked, errdefs.ErrNotFound)
	}
	return asked, err
}

// loaded looks a profile up among those of the kernel. Where they cannot be seen, it is left to the kernel to say so.
func (h Host) loaded(name string) (bool, error) {
	b, err := os.ReadFile(filepath.Join(h.Sys, "kernel/security/apparmor/profiles"))
	if errors.Is(err, fs.ErrNotExist) {
		return name != Default, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the profiles of AppArmor: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		// NAME (MODE); a name may hold blanks.
		if at := strings.LastIndex(line, " ("); at >= 0 && line[:at] == name {
			return true, nil
		}
	}
	return false, nil
}
