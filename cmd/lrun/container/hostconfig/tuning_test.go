package hostconfig_test

import (
	"encoding/json"
	"testing"

	"github.com/lrun-dev/lrun/cmd/lrun/container/hostconfig"
	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestTuningHasDockersNames(t *testing.T) {
	adj := 3
	for want, tuning := range map[string]spec.Tuning{
		`{"OomScoreAdj":null,"GroupAdd":null,"Ulimits":[]}`: {},
		`{"OomScoreAdj":3,"GroupAdd":["a"],"Ulimits":[{"Name":"core","Hard":-1,"Soft":2}]}`: {
			OOMScoreAdj: &adj, Groups: []string{"a"}, Rlimits: []spec.Rlimit{{Name: "core", Soft: 2, Hard: -1}},
		},
	} {
		got, err := json.Marshal(hostconfig.TuningOf(spec.Settings{Tuning: tuning}))
		if err != nil || string(got) != want {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
	}
}
