package hostconfig_test

import (
	"encoding/json"
	"testing"

	"github.com/lrun-dev/lrun/cmd/lrun/container/hostconfig"
	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestSecurityHasDockersNames(t *testing.T) {
	for want, s := range map[string]spec.Security{
		`{"SecurityOpt":null}`: {},
		`{"SecurityOpt":["no-new-privileges","seccomp=unconfined","apparmor=x","label=disable","systempaths=unconfined","writable-cgroups=true"]}`: {
			NoNewPrivileges: true, Seccomp: "unconfined", AppArmor: "x", Labels: []string{"disable"}, SystemPaths: true, WritableCgroups: true,
		},
	} {
		got, err := json.Marshal(hostconfig.SecurityOf(spec.Settings{Security: s}))
		if err != nil || string(got) != want {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
	}
}
