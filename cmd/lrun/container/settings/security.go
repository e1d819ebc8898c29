package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/runtime/apparmor"
	"github.com/lrun-dev/lrun/runtime/seccomp"
	"github.com/lrun-dev/lrun/runtime/selinux"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// securityFlags are --security-opt.
type securityFlags struct{ options cli.StringSlice }

func (f *securityFlags) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{
			Name: "security-opt", Destination: &f.options,
			Usage: "`OPTION` no-new-privileges, seccomp=FILE|unconfined|builtin, apparmor=PROFILE|unconfined, label=disable|KIND:VALUE, systempaths=unconfined or writable-cgroups=true",
		},
	}
}

// security reads the options into s. Of an option that is given twice, the last counts.
func (f *securityFlags) security(s *spec.Settings) error {
	for _, option := range f.options.Value() {
		key, value, given := cutOption(option)
		var err error
		switch key {
		case "no-new-privileges":
			s.Security.NoNewPrivileges, err = isTrue(value, !given)
		case "seccomp":
			s.Security.Seccomp, err = seccompProfile(value)
		case "apparmor":
			s.Security.AppArmor, err = appArmorProfile(value, s.Privileged)
		case "label":
			s.Security.Labels, err = append(s.Security.Labels, value), checkLabel(value)
		case "systempaths":
			s.Security.SystemPaths = true
			if value != spec.Unconfined {
				err = fmt.Errorf("give systempaths=unconfined, or leave it out: %w", errdefs.ErrInvalidArgument)
			}
		case "writable-cgroups":
			s.Security.WritableCgroups, err = isTrue(value, false)
			if err == nil && s.Privileged && !s.Security.WritableCgroups {
				err = fmt.Errorf("--privileged makes them writable: %w", errdefs.ErrInvalidArgument)
			}
		default:
			err = fmt.Errorf("there is no such option; see 'lrun run --help': %w", errdefs.ErrInvalidArgument)
		}
		if err != nil {
			return fmt.Errorf("--security-opt %q: %w", option, err)
		}
	}
	return label(&s.Security, selinux.This())
}

// cutOption divides an option at its first = or, as Docker once had it, at its first colon.
func cutOption(option string) (key, value string, given bool) {
	if key, value, given = strings.Cut(option, "="); given {
		return key, value, true
	}
	return strings.Cut(option, ":")
}

func isTrue(value string, otherwise bool) (bool, error) {
	if otherwise {
		return true, nil
	}
	is, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("give true or false: %w", errdefs.ErrInvalidArgument)
	}
	return is, nil
}

// seccompProfile reads a profile now, as Docker does: the file may be gone when the container starts.
func seccompProfile(value string) (string, error) {
	switch value {
	case "":
		return "", fmt.Errorf("give a file, unconfined or builtin: %w", errdefs.ErrInvalidArgument)
	case "builtin":
		return "", nil
	case spec.Unconfined:
		return value, nil
	}
	f, err := os.Open(value)
	if err != nil {
		return "", err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, seccomp.MaxProfile+1))
	if err != nil {
		return "", err
	}
	// What only applies with some capability is checked again at the start.
	if _, err := seccomp.Load(content, spec.CapabilityNames(^uint64(0))); err != nil {
		return "", err
	}
	var compact bytes.Buffer
	err = json.Compact(&compact, content)
	return compact.String(), err
}

func appArmorProfile(value string, privileged bool) (string, error) {
	if value == "" || strings.ContainsAny(value, "\x00\n") {
		return "", fmt.Errorf("give the name of a profile, or unconfined: %w", errdefs.ErrInvalidArgument)
	}
	_, err := apparmor.This().Choose(value, privileged)
	return value, err
}

// checkLabel looks at one value of label=, before the machine is asked what it makes of all.
func checkLabel(value string) error {
	key, rest, _ := strings.Cut(value, ":")
	switch {
	case value == noLabel, slices.Contains(selinux.Kinds(), key) && rest != "":
		return nil
	case key == "nested":
		return fmt.Errorf("lrun does not let containers change labels: %w", errdefs.ErrNotImplemented)
	}
	return fmt.Errorf("give label=disable, or one of %s: and what it is: %w", strings.Join(selinux.Kinds(), ":, "), errdefs.ErrInvalidArgument)
}

// noLabel is the value of label= with which processes and files keep the labels that they would have without lrun.
const noLabel = "disable"

// label chooses the contexts of a container for which labels are asked. They are its own for as long as it is there.
func label(s *spec.Security, host selinux.Host) error {
	if len(s.Labels) == 0 || slices.Contains(s.Labels, noLabel) {
		return nil
	}
	l, err := host.Choose(s.Labels)
	if err != nil {
		return fmt.Errorf("--security-opt label=%s: %w", s.Labels[0], err)
	}
	s.ProcessLabel, s.MountLabel = l.Process, l.Mount
	return nil
}
