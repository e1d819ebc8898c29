// Package apparmor says what AppArmor of this machine can do for a container, and loads lrun's own profile where it is
// wanted. The change of the profile itself is the start stage's, or the external runtime's.
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
	// Default is lrun's own, which Choose loads.
	Default = "lrun-default"
	// Docker is Docker's, which containers get where Default cannot be loaded and Docker has loaded this one.
	Docker = "docker-default"
)

// Host is where a machine tells about AppArmor, and the program by which profiles are loaded.
type Host struct{ Sys, Parser string }

// This returns the machine that lrun runs on.
func This() Host { return Host{Sys: "/sys", Parser: "apparmor_parser"} }

// Enabled says whether the kernel has AppArmor, and it is on.
func (h Host) Enabled() bool {
	b, err := os.ReadFile(filepath.Join(h.Sys, "module/apparmor/parameters/enabled"))
	return err == nil && strings.HasPrefix(string(b), "Y")
}

// Choose returns the profile that a container starts with: asked, or when that is empty, and the container is not
// privileged, that of Standard. Empty: its processes keep lrun's own. Default is loaded if it is not. A profile that is
// asked for where AppArmor is not is errdefs.ErrNotImplemented, one that is not loaded errdefs.ErrNotFound.
func (h Host) Choose(asked string, privileged bool) (string, error) {
	switch {
	case !h.Enabled() && (asked == "" || asked == Unconfined):
		return "", nil
	case !h.Enabled():
		return "", fmt.Errorf("apparmor profile %q: the kernel has no AppArmor, or it is off (%s/module/apparmor/parameters/enabled is not Y); leave apparmor= out: %w",
			asked, h.Sys, errdefs.ErrNotImplemented)
	case asked == Unconfined || asked == "" && privileged:
		return Unconfined, nil
	}
	var loaded bool
	var err error
	if asked == "" {
		asked, loaded, err = h.Standard()
	} else {
		loaded, err = h.loaded(asked)
	}
	if err == nil && !loaded {
		err = h.provide(asked)
	}
	return asked, err
}

// provide loads a profile that is not loaded, if it is lrun's.
func (h Host) provide(name string) error {
	if name == Default {
		return h.load()
	}
	return fmt.Errorf("apparmor profile %q: it is not loaded; load it with 'apparmor_parser -r FILE': %w", name, errdefs.ErrNotFound)
}

// Standard returns the profile of a container for which none is asked, where AppArmor is on: Default, when that is loaded or
// there is a program to load it, else Docker where it is loaded, else Unconfined. The last needs no loading.
func (h Host) Standard() (profile string, loaded bool, err error) {
	if loaded, err = h.loaded(Default); loaded || err != nil {
		return Default, loaded, err
	}
	_, seen := os.Stat(h.profiles())
	if _, found := h.parser(); found == nil && seen == nil {
		return Default, false, nil
	}
	if loaded, err = h.loaded(Docker); loaded || err != nil {
		return Docker, loaded, err
	}
	return Unconfined, true, nil
}

func (h Host) profiles() string { return filepath.Join(h.Sys, "kernel/security/apparmor/profiles") }

// loaded looks a profile up among those of the kernel. Where they cannot be seen, it is left to the kernel to say so of one
// that was asked for.
func (h Host) loaded(name string) (bool, error) {
	b, err := os.ReadFile(h.profiles())
	if errors.Is(err, fs.ErrNotExist) {
		return name != Default && name != Docker, nil
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
