package spec_test

import (
	"slices"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestSecurity(t *testing.T) {
	type seen struct {
		filtered, masked, readOnlyCgroups, noNewPrivileges bool
	}
	for name, c := range map[string]struct {
		settings spec.Settings
		want     seen
	}{
		"default":            {spec.Settings{}, seen{true, true, true, false}},
		"privileged":         {spec.Settings{Privileged: true}, seen{false, false, false, false}},
		"own, privileged":    {spec.Settings{Privileged: true, Security: spec.Security{Seccomp: "{}"}}, seen{true, false, false, false}},
		"unconfined":         {spec.Settings{Security: spec.Security{Seccomp: "unconfined"}}, seen{false, true, true, false}},
		"system paths":       {spec.Settings{Security: spec.Security{SystemPaths: true}}, seen{true, false, true, false}},
		"writable cgroups":   {spec.Settings{Security: spec.Security{WritableCgroups: true}}, seen{true, true, false, false}},
		"no new privileges":  {spec.Settings{Security: spec.Security{NoNewPrivileges: true}}, seen{true, true, true, true}},
		"label is no change": {spec.Settings{Security: spec.Security{Labels: []string{"disable"}}}, seen{true, true, true, false}},
		"labels":             {spec.Settings{Security: spec.Security{ProcessLabel: "p", MountLabel: "m"}}, seen{true, true, true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := spec.New(c.settings, spec.Facts{Seccomp: &specs.LinuxSeccomp{}, AppArmor: "profile"})
			if err != nil {
				t.Fatal(err)
			}
			got := seen{
				filtered: config.Linux.Seccomp != nil, masked: len(config.Linux.MaskedPaths)+len(config.Linux.ReadonlyPaths) > 0,
				noNewPrivileges: config.Process.NoNewPrivileges,
			}
			for _, m := range config.Mounts {
				got.readOnlyCgroups = got.readOnlyCgroups || m.Type == "cgroup" && slices.Contains(m.Options, "ro")
			}
			if config.Process.SelinuxLabel != c.settings.Security.ProcessLabel || config.Linux.MountLabel != c.settings.Security.MountLabel {
				t.Errorf("labels %q, %q", config.Process.SelinuxLabel, config.Linux.MountLabel)
			}
			if got != c.want || config.Process.ApparmorProfile != "profile" {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
