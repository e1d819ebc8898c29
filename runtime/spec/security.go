package spec

import (
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Unconfined is the seccomp profile that is none.
const Unconfined = "unconfined"

// Security is what --security-opt changes of a container's confinement. The zero value is Docker's default.
type Security struct {
	NoNewPrivileges bool `json:"noNewPrivileges,omitempty"`
	// Seccomp is a profile as JSON, read when the container was made; empty: the default one, but none for a
	// privileged container; Unconfined: none.
	Seccomp string `json:"seccomp,omitempty"`
	// AppArmor is the name of a profile; empty: the default one.
	AppArmor string `json:"apparmor,omitempty"`
	// Labels are the values of label=: disable, or what changes the policy's contexts.
	Labels []string `json:"labels,omitempty"`
	// ProcessLabel and MountLabel are the contexts of SELinux for processes and for files; empty: they are not changed.
	ProcessLabel string `json:"processLabel,omitempty"`
	MountLabel   string `json:"mountLabel,omitempty"`
	// SystemPaths masks nothing and makes nothing read-only below /proc and /sys.
	SystemPaths bool `json:"systemPaths,omitempty"`
	// WritableCgroups makes the container's own cgroups writable.
	WritableCgroups bool `json:"writableCgroups,omitempty"`
}

// Filtered says whether the container's programs run under a seccomp filter.
func Filtered(s Settings) bool {
	return s.Security.Seccomp != Unconfined && (s.Security.Seccomp != "" || !s.Privileged)
}

// confine adds to a configuration what keeps the container's programs from the host.
func confine(c *specs.Spec, s Settings, f Facts) {
	if !s.Privileged && !s.Security.SystemPaths {
		c.Linux.MaskedPaths = maskedPaths()
		c.Linux.ReadonlyPaths = readonlyPaths()
	}
	if Filtered(s) {
		c.Linux.Seccomp = f.Seccomp
	}
	c.Process.NoNewPrivileges = s.Security.NoNewPrivileges
	c.Process.ApparmorProfile = f.AppArmor
	c.Process.SelinuxLabel, c.Linux.MountLabel = s.Security.ProcessLabel, s.Security.MountLabel
	if s.Security.WritableCgroups {
		for i, m := range c.Mounts {
			if m.Type == "cgroup" {
				c.Mounts[i].Options = slices.DeleteFunc(slices.Clone(m.Options), func(o string) bool { return o == "ro" })
			}
		}
	}
}
