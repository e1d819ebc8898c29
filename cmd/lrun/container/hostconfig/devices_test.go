package hostconfig_test

import (
	"encoding/json"
	"testing"

	"github.com/lrun-dev/lrun/cmd/lrun/container/hostconfig"
	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestDevicesHaveDockersNames(t *testing.T) {
	for want, s := range map[string]spec.Settings{
		`{"Devices":[],"DeviceCgroupRules":null,"Sysctls":null}`: {},
		`{"Devices":[{"PathOnHost":"/a","PathInContainer":"/b","CgroupPermissions":"r"}],"DeviceCgroupRules":["c 1:1 r"],"Sysctls":{"net.a":"1"}}`: {
			Devices: spec.Devices{Nodes: []spec.Device{{Host: "/a", Path: "/b", Access: "r"}}, Rules: []string{"c 1:1 r"}},
			Sysctls: map[string]string{"net.a": "1"},
		},
	} {
		got, err := json.Marshal(hostconfig.HostDevicesOf(s))
		if err != nil || string(got) != want {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
	}
}
