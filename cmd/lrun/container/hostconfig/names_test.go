package hostconfig_test

import (
	"encoding/json"
	"testing"

	"github.com/lrun-dev/lrun/cmd/lrun/container/hostconfig"
	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestNamesHaveDockersNames(t *testing.T) {
	got, err := json.Marshal(hostconfig.NamesOf(spec.Settings{Names: spec.Names{Hosts: []string{"::1\ta"}, Servers: []string{"192.0.2.1"}}}))
	if want := `{"Dns":["192.0.2.1"],"DnsOptions":null,"DnsSearch":null,"ExtraHosts":["a:::1"],"ShmSize":67108864}`; err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}
