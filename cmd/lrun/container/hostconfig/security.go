package hostconfig

import (
	"github.com/lrun-dev/lrun/runtime/spec"
)

// Security is what HostConfig says of --security-opt.
type Security struct{ SecurityOpt []string }

// SecurityOf returns the options of --security-opt that make the settings' confinement.
func SecurityOf(s spec.Settings) Security {
	var v Security
	add := func(given bool, option string) {
		if given {
			v.SecurityOpt = append(v.SecurityOpt, option)
		}
	}
	add(s.Security.NoNewPrivileges, "no-new-privileges")
	add(s.Security.Seccomp != "", "seccomp="+s.Security.Seccomp)
	add(s.Security.AppArmor != "", "apparmor="+s.Security.AppArmor)
	for _, label := range s.Security.Labels {
		add(true, "label="+label)
	}
	add(s.Security.SystemPaths, "systempaths=unconfined")
	add(s.Security.WritableCgroups, "writable-cgroups=true")
	return v
}
