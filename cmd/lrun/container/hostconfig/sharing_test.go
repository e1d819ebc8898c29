package hostconfig_test

import (
	"encoding/json"
	"testing"

	"github.com/lrun-dev/lrun/cmd/lrun/container/hostconfig"
	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestSharingHasDockersNames(t *testing.T) {
	got, err := json.Marshal(hostconfig.SharingOf(spec.Settings{Sharing: spec.Sharing{PID: "host", UTS: "host", Cgroup: "private"}}))
	if want := `{"PidMode":"host","IpcMode":"private","UTSMode":"host","CgroupnsMode":"private"}`; err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}
