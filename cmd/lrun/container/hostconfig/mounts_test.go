package hostconfig_test

import (
	"encoding/json"
	"testing"

	"github.com/lrun-dev/lrun/cmd/lrun/container/hostconfig"
	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestMountsHaveDockersNames(t *testing.T) {
	list := []spec.Mount{
		{Type: "bind", Source: "/a", Target: "/b", ReadOnly: true},
		{Type: "volume", Name: "data", Source: "/v/data/_data", Target: "/d", Mode: "nocopy"},
		{Type: "volume", Name: "0123", Source: "/v/0123/_data", Target: "/e", Anonymous: true},
		{Type: "tmpfs", Target: "/t", Options: []string{"size=1m", "ro"}},
	}
	for want, v := range map[string]any{
		`{"Binds":["/a:/b:ro","data:/d:nocopy"],"Tmpfs":{"/t":"size=1m,ro"}}`:                                                                     hostconfig.MountsOf(list),
		`{"Type":"bind","Source":"/a","Destination":"/b","Mode":"ro","RW":false,"Propagation":"rprivate"}`:                                        hostconfig.MountPoints(list)[0],
		`{"Type":"volume","Name":"data","Source":"/v/data/_data","Destination":"/d","Driver":"local","Mode":"nocopy","RW":true,"Propagation":""}`: hostconfig.MountPoints(list)[1],
	} {
		if got, err := json.Marshal(v); err != nil || string(got) != want {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
	}
}
