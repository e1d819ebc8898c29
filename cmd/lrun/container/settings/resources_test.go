package settings_test

import (
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

func TestLimits(t *testing.T) {
	for line, want := range map[string]string{
		"--memory 64m --cpus 0.50 --pids-limit 7":                   `{"memory":67108864,"nanoCPUs":500000000,"pids":7}`,
		"--pids-limit -1 --memory 0 --cpu-quota 0":                  `{}`,
		"-m 64m --memory-swap 64m":                                  `{"memory":67108864,"memorySwap":67108864}`,
		"-m 64m --memory-swap -1":                                   `{"memory":67108864,"memorySwap":-1}`,
		"--memory-swap -1":                                          `{"memorySwap":-1}`,
		"-m 64m --memory-swap 0 --memory-reservation 6m":            `{"memory":67108864,"memoryReservation":6291456}`,
		"--memory-swappiness 0 --oom-kill-disable":                  `{"memorySwappiness":0,"oomKillDisable":true}`,
		"--memory-swappiness -1":                                    `{}`,
		"--cpu-period 50000 --cpu-quota 25000 -c 512":               `{"cpuPeriod":50000,"cpuQuota":25000,"cpuShares":512}`,
		"--cpu-quota -1":                                            `{"cpuQuota":-1}`,
		"--cpuset-cpus 0-2,7 --cpuset-mems 0":                       `{"cpusetCPUs":"0-2,7","cpusetMems":"0"}`,
		"--blkio-weight 10 --blkio-weight-device /dev/a:20":         `{"blkioWeight":10,"blkioWeightDevice":[{"path":"/dev/a","rate":20}]}`,
		"--device-read-bps /dev/a:1mb --device-read-bps /dev/b:1":   `{"deviceReadBps":[{"path":"/dev/a","rate":1048576},{"path":"/dev/b","rate":1}]}`,
		"--device-write-bps /dev/a:1k --device-write-iops /dev/a:9": `{"deviceWriteBps":[{"path":"/dev/a","rate":1024}],"deviceWriteIOps":[{"path":"/dev/a","rate":9}]}`,
		"--device-read-iops /dev/a:18446744073709551615":            `{"deviceReadIOps":[{"path":"/dev/a","rate":18446744073709551615}]}`,
	} {
		c, err := describe(t, plainImage(), append(strings.Fields(line), "img")...)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		got, err := json.Marshal(c.Settings.Limits)
		if err != nil || string(got) != want {
			t.Errorf("%s\ngot  %s, %v\nwant %s", line, got, err, want)
		}
	}
}

func TestLimitsRefused(t *testing.T) {
	for line, words := range map[string]string{
		"--memory 1m":                       "6m",
		"--memory lots":                     "unit",
		"--memory-reservation 1m":           "6m",
		"-m 64m --memory-reservation 65m":   "at most as much as --memory 64m",
		"--memory-swap 64m":                 "give --memory as well",
		"-m 64m --memory-swap 63m":          "at least as much as --memory 64m",
		"-m 64m --memory-swap -2":           "unit",
		"--memory-swappiness 101":           "0 to 100",
		"--memory-swappiness -2":            "0 to 100",
		"--cpus 100000":                     "CPUs of this machine",
		"--cpus 1e2":                        "--cpus",
		"--cpus -1":                         "--cpus",
		"--cpus 1 --cpu-quota 5000":         "one of them",
		"--cpus 1 --cpu-period 5000":        "one of them",
		"--cpu-period 999":                  "1000 to 1000000",
		"--cpu-period -1":                   "1000 to 1000000",
		"--cpu-quota 999":                   "1000 at least",
		"--cpu-shares 1":                    "2 to 262144",
		"--cpu-shares -1":                   "2 to 262144",
		"--cpu-shares 262145":               "2 to 262144",
		"--cpuset-cpus 1-":                  "0-2,7",
		"--cpuset-cpus 2-1":                 "0-2,7",
		"--cpuset-mems a":                   "0-2,7",
		"--blkio-weight 9":                  "10 to 1000",
		"--blkio-weight 1001":               "10 to 1000",
		"--blkio-weight-device /dev/a:9":    "10 to 1000",
		"--blkio-weight-device /dev/a:1001": "10 to 1000",
		"--blkio-weight-device a:500":       "/dev/DEVICE",
		"--device-read-bps /dev/a":          "BYTES",
		"--device-write-bps /dev/a:-1":      "BYTES",
		"--device-read-iops /dev/a:1k":      "NUMBER",
		"--device-write-iops /home/a:1":     "/dev/DEVICE",
	} {
		_, err := describe(t, plainImage(), append(strings.Fields(line), "img")...)
		if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: got %v, want words %q", line, err, words)
		}
	}
}

func FuzzCPUs(f *testing.F) {
	for _, s := range []string{"1", "0.5", ".5", "1.", "1.0000000001", "-1", "1e3", "", "."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := describe(t, plainImage(), "--cpus="+s, "img")
		if err == nil && (c.Settings.Limits.NanoCPUs < 0 || c.Settings.Limits.NanoCPUs > int64(runtime.NumCPU())*1e9) {
			t.Errorf("--cpus %q is %d", s, c.Settings.Limits.NanoCPUs)
		}
	})
}

func FuzzDeviceRates(f *testing.F) {
	for _, s := range []string{"/dev/sda:10mb", "/dev/sda:", "/dev/:1", "::", "/dev/a:99999999999999999999", "/dev/a:-1", "/dev/a:nan"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, flag := range []string{"--device-read-bps=", "--blkio-weight-device="} {
			c, err := describe(t, plainImage(), flag+s, "img")
			for _, d := range append(c.Settings.Limits.ReadBps, c.Settings.Limits.DeviceWeight...) {
				if err == nil && (!strings.HasPrefix(d.Path, "/dev/") || d.Rate > 1<<63) {
					t.Errorf("%q is %+v", s, d)
				}
			}
		}
	})
}
