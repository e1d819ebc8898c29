package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/runtime/apparmor"
	"github.com/lrun-dev/lrun/runtime/seccomp"
	"github.com/lrun-dev/lrun/runtime/spec"
)

// securityFlags are --security-opt.
type securityFlags struct{ options cli.StringSlice }

func (f *securityFlags) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{
			Name: "security-opt", Destination: &f.options,
			Usage: "`OPTION` no-new-privileges, seccomp=FILE|unconfined|builtin, apparmor=PROFILE|unconfined, label=disable, systempaths=unconfined or writable-cgroups=true",
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
			s.Security.NoLabel, err = true, checkLabel(value)
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
	return nil
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

// checkLabel refuses all but label=disable: lrun gives no labels, and labels its mounts with none.
func checkLabel(value string) error {
	kind, _, _ := strings.Cut(value, ":")
	switch kind {
	case "disable":
		if value == kind {
			return nil
		}
	case "user", "role", "type", "level", "filetype", "nested":
		if _, err := os.Stat("/sys/fs/selinux/enforce"); err != nil {
			return fmt.Errorf("SELinux is not on here (there is no /sys/fs/selinux/enforce): %w", errdefs.ErrNotImplemented)
		}
		return fmt.Errorf("lrun sets no SELinux labels; processes keep lrun's own, and label=disable says so: %w", errdefs.ErrNotImplemented)
	}
	return fmt.Errorf("give label=disable: %w", errdefs.ErrInvalidArgument)
}
