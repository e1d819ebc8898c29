package spec_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestResources(t *testing.T) {
	swappiness := uint64(0)
	for name, c := range map[string]struct {
		limits spec.Limits
		want   string
	}{
		"none":                    {spec.Limits{}, `{}`},
		"memory has as much swap": {spec.Limits{Memory: 64 << 20}, `{"memory":{"limit":67108864,"swap":134217728}}`},
		"memory without swap":     {spec.Limits{Memory: 64 << 20, Swap: 64 << 20}, `{"memory":{"limit":67108864,"swap":67108864}}`},
		"unlimited swap":          {spec.Limits{Memory: 64 << 20, Swap: -1}, `{"memory":{"limit":67108864,"swap":-1}}`},
		"the rest of memory": {
			spec.Limits{Reservation: 5, Swappiness: &swappiness, NoOOMKill: true},
			`{"memory":{"reservation":5,"swappiness":0,"disableOOMKiller":true}}`,
		},
		"CPUs":             {spec.Limits{NanoCPUs: 1_500_000_000}, `{"cpu":{"quota":150000,"period":100000}}`},
		"period and quota": {spec.Limits{CPUPeriod: 20000, CPUQuota: -1}, `{"cpu":{"quota":-1,"period":20000}}`},
		"shares and sets":  {spec.Limits{CPUShares: 2, CpusetCPUs: "0-1", CpusetMems: "0"}, `{"cpu":{"shares":2,"cpus":"0-1","mems":"0"}}`},
		"processes":        {spec.Limits{Pids: 7}, `{"pids":{"limit":7}}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := spec.Resources(spec.Settings{Limits: c.limits}, spec.Host{})
			if len(r.Devices) == 0 {
				t.Error("no rules for devices")
			}
			r.Devices = nil
			got, err := json.Marshal(r)
			if err != nil || string(got) != c.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, c.want)
			}
		})
	}
}

func TestDefaultsAskNothingOfTheHost(t *testing.T) {
	if h, err := spec.FindHost(spec.Settings{}); err != nil || spec.Resources(spec.Settings{}, h).BlockIO != nil {
		t.Errorf("got %+v, %v", h, err)
	}
}

func TestBlockDevicesAreChecked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, class := range map[string]error{"/dev/no-such": errdefs.ErrNotFound, "/dev/null": errdefs.ErrInvalidArgument, file: errdefs.ErrInvalidArgument} {
		rate := []spec.DeviceRate{{Path: path, Rate: 100}}
		for _, l := range []spec.Limits{{ReadBps: rate}, {WriteBps: rate}, {ReadIOps: rate}, {WriteIOps: rate}, {DeviceWeight: rate}} {
			if h, err := spec.FindHost(spec.Settings{Limits: l}); !errors.Is(err, class) {
				t.Errorf("%+v: got %+v, %v", l, h, err)
			}
		}
	}
}
