package hostconfig_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/lrun-dev/lrun/cmd/lrun/container/hostconfig"
	"github.com/lrun-dev/lrun/runtime/spec"
)

func TestResourcesHaveDockersNames(t *testing.T) {
	rate := []spec.DeviceRate{{Path: "/dev/a", Rate: 7}}
	swappiness := uint64(3)
	for name, c := range map[string]struct {
		limits spec.Limits
		want   []string
	}{
		"none":           {spec.Limits{}, []string{`"Memory":0`, `"MemorySwap":0`, `"MemorySwappiness":null`, `"BlkioWeightDevice":[]`, `"BlkioDeviceReadBps":[]`}},
		"default swap":   {spec.Limits{Memory: 5}, []string{`"Memory":5`, `"MemorySwap":10`}},
		"unlimited swap": {spec.Limits{Memory: 5, Swap: -1}, []string{`"MemorySwap":-1`}},
		"memory":         {spec.Limits{Reservation: 2, Swappiness: &swappiness, NoOOMKill: true}, []string{`"MemoryReservation":2`, `"MemorySwappiness":3`, `"OomKillDisable":true`}},
		"CPUs": {
			spec.Limits{NanoCPUs: 1, CPUPeriod: 2, CPUQuota: 3, CPUShares: 4, CpusetCPUs: "5", CpusetMems: "6", Pids: 7},
			[]string{`"NanoCpus":1`, `"CpuPeriod":2`, `"CpuQuota":3`, `"CpuShares":4`, `"CpusetCpus":"5"`, `"CpusetMems":"6"`, `"PidsLimit":7`},
		},
		"no disk":   {spec.Limits{}, []string{`"StorageOpt":null`}},
		"bytes":     {spec.Limits{Disk: 16<<20 + 1}, []string{`"StorageOpt":{"size":"16777217"}`}},
		"megabytes": {spec.Limits{Disk: 1536 << 20}, []string{`"StorageOpt":{"size":"1536m"}`}},
		"gigabytes": {spec.Limits{Disk: 2 << 30}, []string{`"StorageOpt":{"size":"2g"}`}},
		"devices": {
			spec.Limits{BlkioWeight: 1, DeviceWeight: rate, ReadBps: rate, WriteBps: rate, ReadIOps: rate, WriteIOps: rate},
			[]string{
				`"BlkioWeight":1`, `"BlkioWeightDevice":[{"Path":"/dev/a","Weight":7}]`, `"BlkioDeviceReadBps":[{"Path":"/dev/a","Rate":7}]`,
				`"BlkioDeviceWriteBps":[{`, `"BlkioDeviceReadIOps":[{`, `"BlkioDeviceWriteIOps":[{`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(hostconfig.ResourcesOf(spec.Settings{Limits: c.limits}))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !strings.Contains(string(got), want) {
					t.Errorf("got %s, want %s", got, want)
				}
			}
		})
	}
}
