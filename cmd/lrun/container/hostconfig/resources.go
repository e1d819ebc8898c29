// Package hostconfig says with Docker's names what inspect shows of a container's limits and devices.
package hostconfig

import (
	"strconv"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// Resources are the fields of HostConfig about resources.
type Resources struct {
	Memory            int64
	MemorySwap        int64
	MemoryReservation int64
	MemorySwappiness  *uint64
	OomKillDisable    bool
	NanoCpus          int64
	CpuPeriod         uint64
	CpuQuota          int64
	CpuShares         uint64
	CpusetCpus        string
	CpusetMems        string
	PidsLimit         int64
	StorageOpt        map[string]string

	BlkioWeight          uint16
	BlkioWeightDevice    []DeviceWeight
	BlkioDeviceReadBps   []DeviceRate
	BlkioDeviceWriteBps  []DeviceRate
	BlkioDeviceReadIOps  []DeviceRate
	BlkioDeviceWriteIOps []DeviceRate
}

// DeviceRate is a limit of one device.
type DeviceRate struct {
	Path string
	Rate uint64
}

// DeviceWeight is a weight of one device.
type DeviceWeight struct {
	Path   string
	Weight uint64
}

// ResourcesOf returns what s asks, with Docker's default for swap.
func ResourcesOf(s spec.Settings) Resources {
	l := s.Limits
	r := Resources{
		Memory: l.Memory, MemorySwap: l.Swap, MemoryReservation: l.Reservation, MemorySwappiness: l.Swappiness, OomKillDisable: l.NoOOMKill,
		NanoCpus: l.NanoCPUs, CpuPeriod: l.CPUPeriod, CpuQuota: l.CPUQuota, CpuShares: l.CPUShares, CpusetCpus: l.CpusetCPUs,
		CpusetMems: l.CpusetMems, PidsLimit: l.Pids, BlkioWeight: l.BlkioWeight, BlkioWeightDevice: []DeviceWeight{},
		BlkioDeviceReadBps: rates(l.ReadBps), BlkioDeviceWriteBps: rates(l.WriteBps),
		BlkioDeviceReadIOps: rates(l.ReadIOps), BlkioDeviceWriteIOps: rates(l.WriteIOps),
	}
	if l.Disk > 0 {
		r.StorageOpt = map[string]string{"size": size(l.Disk)}
	}
	if l.Swap == 0 {
		r.MemorySwap = 2 * l.Memory
	}
	for _, d := range l.DeviceWeight {
		r.BlkioWeightDevice = append(r.BlkioWeightDevice, DeviceWeight{d.Path, d.Rate})
	}
	return r
}

// size writes bytes as people give them: in the largest unit of which they are a whole number.
func size(bytes int64) string {
	unit := ""
	for _, larger := range []string{"k", "m", "g", "t", "p"} {
		if bytes%1024 != 0 {
			break
		}
		bytes, unit = bytes/1024, larger
	}
	return strconv.FormatInt(bytes, 10) + unit
}

func rates(list []spec.DeviceRate) []DeviceRate {
	shown := []DeviceRate{}
	for _, d := range list {
		shown = append(shown, DeviceRate(d))
	}
	return shown
}
