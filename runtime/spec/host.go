package spec

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Host is what of the host's devices the settings name, with their numbers. Those may be others at every start.
type Host struct {
	nodes   []specs.LinuxDevice
	rules   []specs.LinuxDeviceCgroup
	blockIO *specs.LinuxBlockIO
}

// FindHost looks at the devices that s names. Settings that name none cost nothing. A device that is not there is
// errdefs.ErrNotFound, something else than a device errdefs.ErrInvalidArgument.
func FindHost(s Settings) (Host, error) {
	var h Host
	var err error
	if h.blockIO, err = blockIO(s.Limits); err != nil {
		return h, err
	}
	h.nodes, h.rules, err = s.Devices.find(s.Privileged)
	return h, err
}

// blockIO returns the limits of reading from and writing to block devices, nil: there are none.
func blockIO(l Limits) (*specs.LinuxBlockIO, error) {
	if l.BlkioWeight == 0 && len(l.DeviceWeight)+len(l.ReadBps)+len(l.WriteBps)+len(l.ReadIOps)+len(l.WriteIOps) == 0 {
		return nil, nil
	}
	b := &specs.LinuxBlockIO{Weight: given(l.BlkioWeight)}
	for _, d := range l.DeviceWeight {
		number, err := blockDevice(d.Path)
		if err != nil {
			return nil, err
		}
		weight := specs.LinuxWeightDevice{Weight: given(uint16(d.Rate))}
		weight.Major, weight.Minor = int64(unix.Major(number)), int64(unix.Minor(number))
		b.WeightDevice = append(b.WeightDevice, weight)
	}
	for _, kind := range []struct {
		from []DeviceRate
		to   *[]specs.LinuxThrottleDevice
	}{
		{l.ReadBps, &b.ThrottleReadBpsDevice},
		{l.WriteBps, &b.ThrottleWriteBpsDevice},
		{l.ReadIOps, &b.ThrottleReadIOPSDevice},
		{l.WriteIOps, &b.ThrottleWriteIOPSDevice},
	} {
		for _, d := range kind.from {
			number, err := blockDevice(d.Path)
			if err != nil {
				return nil, err
			}
			throttle := specs.LinuxThrottleDevice{Rate: d.Rate}
			throttle.Major, throttle.Minor = int64(unix.Major(number)), int64(unix.Minor(number))
			*kind.to = append(*kind.to, throttle)
		}
	}
	return b, nil
}

// blockDevice returns the number of a block device of the host.
func blockDevice(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, missing(path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0, fmt.Errorf("limit the rate of %s: it is no block device: %w", path, errdefs.ErrInvalidArgument)
	}
	return st.Rdev, nil
}

// missing is the error of a device that cannot be looked at.
func missing(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("find the host's device %s: there is none: %w", path, errdefs.ErrNotFound)
	}
	return fmt.Errorf("find the host's device %s: %w", path, err)
}
