package cgroup

import (
	"fmt"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// ioLimits sets weights with BFQ's files, or with the generic ones where BFQ is not the one that keeps them.
func ioLimits(r *specs.LinuxResources, unified bool) ([]setting, error) {
	b := r.BlockIO
	if b == nil {
		return nil, nil
	}
	if b.LeafWeight != nil {
		return nil, onlyV1("a leaf weight, which went with the CFQ scheduler,")
	}
	s := &settings{unified: unified}
	if b.Weight != nil && *b.Weight != 0 {
		s.weight("", *b.Weight)
	}
	for _, d := range b.WeightDevice {
		if d.LeafWeight != nil {
			return nil, onlyV1("a leaf weight, which went with the CFQ scheduler,")
		}
		if d.Weight != nil {
			s.weight(number(d.Major, d.Minor)+" ", *d.Weight)
		}
	}
	s.throttle("read_bps", "rbps", b.ThrottleReadBpsDevice)
	s.throttle("write_bps", "wbps", b.ThrottleWriteBpsDevice)
	s.throttle("read_iops", "riops", b.ThrottleReadIOPSDevice)
	s.throttle("write_iops", "wiops", b.ThrottleWriteIOPSDevice)
	return s.list, nil
}

func number(major, minor int64) string { return fmt.Sprintf("%d:%d", major, minor) }

// weight sets the weight of the device that prefix names, or of all.
func (s *settings) weight(prefix string, weight uint16) {
	value := prefix + strconv.Itoa(int(weight))
	device := ""
	if prefix != "" {
		device = "_device"
	}
	if s.unified { // BFQ takes 1 to 1000, io.weight 1 to 10000
		generic := prefix + strconv.Itoa(int(1+(uint64(max(weight, 10))-10)*9999/990))
		s.list = append(s.list, setting{
			file: "io.bfq.weight", value: value, otherwise: &setting{file: "io.weight", value: generic},
		})
		return
	}
	s.list = append(s.list, setting{
		file: "blkio.bfq.weight" + device, value: value, otherwise: &setting{file: "blkio.weight" + device, value: value},
	})
}

func (s *settings) throttle(v1, v2 string, devices []specs.LinuxThrottleDevice) {
	for _, d := range devices {
		rate := strconv.FormatUint(d.Rate, 10)
		if s.unified {
			s.add("", "io.max", number(d.Major, d.Minor)+" "+v2+"="+rate)
		} else {
			s.add("blkio.throttle."+v1+"_device", "", number(d.Major, d.Minor)+" "+rate)
		}
	}
}
