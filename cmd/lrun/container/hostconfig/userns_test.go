package hostconfig

import (
	"encoding/json"
	"testing"

	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestUsersOf(t *testing.T) {
	auto := spec.SameIDs(spec.IDRange{Host: 5000, Size: 10})
	auto.Auto = true
	for want, u := range map[string]spec.UserNamespace{
		`{"UsernsMode":"host"}`: {},
		`{"UsernsMode":"auto","IDMappings":{"UidMap":["0:5000:10"],"GidMap":["0:5000:10"]}}`:            auto,
		`{"UsernsMode":"private","IDMappings":{"UidMap":["0:1:1","5:8:2"],"GidMap":["0:1:1","5:8:2"]}}`: spec.SameIDs(spec.IDRange{Host: 1, Size: 1}, spec.IDRange{Container: 5, Host: 8, Size: 2}),
	} {
		got, err := json.Marshal(UsersOf(spec.Settings{UserNS: u}))
		if err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}
