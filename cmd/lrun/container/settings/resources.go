package settings

import (
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/runtime/spec"
)

// minMemory is Docker's: below it no program starts.
const minMemory = 6 << 20

// resourceFlags are the limits of the container's cgroup.
type resourceFlags struct {
	memory, swap, reservation, cpus, cpusetCPUs, cpusetMems string

	noOOMKill bool
	pids      int64

	swappiness, period, quota, shares, weight int64

	weights, readBps, writeBps, readIOps, writeIOps cli.StringSlice
}

func (f *resourceFlags) flags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "memory", Aliases: []string{"m"}, Usage: "limit memory to `BYTES`, with a unit like 512m or 2g", DefaultText: "no limit", Destination: &f.memory},
		&cli.StringFlag{Name: "memory-swap", Usage: "limit memory and swap together to `BYTES`; as much as --memory is no swap, -1 is no limit", DefaultText: "twice --memory", Destination: &f.swap},
		&cli.StringFlag{Name: "memory-reservation", Usage: "leave the container `BYTES` of memory when the host runs out of it", DefaultText: "none", Destination: &f.reservation},
		&cli.Int64Flag{Name: "memory-swappiness", Usage: "how gladly the kernel swaps, a `NUMBER` from 0 to 100 (cgroup v1)", Value: -1, DefaultText: "the kernel's", Destination: &f.swappiness},
		&cli.BoolFlag{Name: "oom-kill-disable", Usage: "let programs wait for memory at the limit, rather than kill them (cgroup v1)", Destination: &f.noOOMKill},
		&cli.StringFlag{Name: "cpus", Usage: "limit to `NUMBER` CPUs, such as 1.5", DefaultText: "no limit", Destination: &f.cpus},
		&cli.Int64Flag{Name: "cpu-period", Usage: "count --cpu-quota in periods of `MICROSECONDS`, from 1000 to 1000000", DefaultText: "100000", Destination: &f.period},
		&cli.Int64Flag{Name: "cpu-quota", Usage: "limit CPU time in each period to `MICROSECONDS`, 1000 at least; -1 is no limit", DefaultText: "no limit", Destination: &f.quota},
		&cli.Int64Flag{Name: "cpu-shares", Aliases: []string{"c"}, Usage: "`WEIGHT` against other groups when CPUs are short, from 2 to 262144", DefaultText: "1024", Destination: &f.shares},
		&cli.StringFlag{Name: "cpuset-cpus", Usage: "run only on `CPUS`, such as 0-2,7", DefaultText: "all", Destination: &f.cpusetCPUs},
		&cli.StringFlag{Name: "cpuset-mems", Usage: "take memory only from the NUMA `NODES`, such as 0,1", DefaultText: "all", Destination: &f.cpusetMems},
		&cli.Int64Flag{Name: "pids-limit", Usage: "limit to `NUMBER` processes and threads; -1 is no limit", DefaultText: "no limit", Destination: &f.pids},
	}, f.blockFlags()...)
}

func (f *resourceFlags) blockFlags() []cli.Flag {
	return []cli.Flag{
		&cli.Int64Flag{Name: "blkio-weight", Usage: "`WEIGHT` against other groups at block devices, from 10 to 1000", DefaultText: "the kernel's", Destination: &f.weight},
		&cli.StringSliceFlag{Name: "blkio-weight-device", Usage: "the same for one device, `DEVICE:WEIGHT`", Destination: &f.weights},
		&cli.StringSliceFlag{Name: "device-read-bps", Usage: "limit reading from a block device a second, `DEVICE:BYTES`, such as /dev/sda:10mb", Destination: &f.readBps},
		&cli.StringSliceFlag{Name: "device-write-bps", Usage: "limit writing to it a second, `DEVICE:BYTES`", Destination: &f.writeBps},
		&cli.StringSliceFlag{Name: "device-read-iops", Usage: "limit reads from it a second, `DEVICE:NUMBER`", Destination: &f.readIOps},
		&cli.StringSliceFlag{Name: "device-write-iops", Usage: "limit writes to it a second, `DEVICE:NUMBER`", Destination: &f.writeIOps},
	}
}

// limits checks what only the flags can say, in Docker's way; what the machine has to say is checked at the start.
func (f *resourceFlags) limits() (spec.Limits, error) {
	l := spec.Limits{NoOOMKill: f.noOOMKill, Pids: max(f.pids, 0), CpusetCPUs: f.cpusetCPUs, CpusetMems: f.cpusetMems}
	for _, step := range []func(*spec.Limits) error{f.memoryLimits, f.cpuLimits, f.blockLimits} {
		if err := step(&l); err != nil {
			return l, err
		}
	}
	return l, nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, errdefs.ErrInvalidArgument)...)
}

func (f *resourceFlags) memoryLimits(l *spec.Limits) error {
	for _, flag := range []struct {
		name, value string
		to          *int64
		least       int64
	}{
		{"--memory", f.memory, &l.Memory, minMemory},
		{"--memory-reservation", f.reservation, &l.Reservation, minMemory},
		{"--memory-swap", f.swap, &l.Swap, 0},
	} {
		if flag.value == "" || flag.name == "--memory-swap" && flag.value == "-1" {
			continue
		}
		bytes, err := units.RAMInBytes(flag.value)
		if err != nil || bytes < 0 {
			return invalid("%s %q: give a number with a unit b, k, m or g", flag.name, flag.value)
		}
		if bytes != 0 && bytes < flag.least {
			return invalid("%s %q: the least is 6m", flag.name, flag.value)
		}
		*flag.to = bytes
	}
	if f.swap == "-1" {
		l.Swap = -1
	}
	if f.swappiness < -1 || f.swappiness > 100 {
		return invalid("--memory-swappiness %d: give a number from 0 to 100, or -1 for the kernel's", f.swappiness)
	}
	if swappiness := uint64(f.swappiness); f.swappiness >= 0 {
		l.Swappiness = &swappiness
	}
	return f.together(l)
}

// together refuses limits of memory that contradict each other.
func (f *resourceFlags) together(l *spec.Limits) error {
	switch {
	case l.Swap > 0 && l.Memory == 0:
		return invalid("--memory-swap %q: it is memory and swap together, so give --memory as well", f.swap)
	case l.Swap > 0 && l.Swap < l.Memory:
		return invalid("--memory-swap %q: it is memory and swap together, so at least as much as --memory %s", f.swap, f.memory)
	case l.Memory > 0 && l.Reservation > l.Memory:
		return invalid("--memory-reservation %q: it is at most as much as --memory %s", f.reservation, f.memory)
	}
	return nil
}

func (f *resourceFlags) cpuLimits(l *spec.Limits) error {
	switch {
	case f.cpus != "" && (f.period != 0 || f.quota != 0):
		return invalid("--cpus %s together with --cpu-period or --cpu-quota: they say the same, give one of them", f.cpus)
	case f.period != 0 && (f.period < 1000 || f.period > 1_000_000):
		return invalid("--cpu-period %d: give microseconds from 1000 to 1000000", f.period)
	case f.quota > 0 && f.quota < 1000:
		return invalid("--cpu-quota %d: give microseconds, 1000 at least", f.quota)
	case f.shares != 0 && (f.shares < 2 || f.shares > 1<<18):
		return invalid("--cpu-shares %d: give a number from 2 to 262144", f.shares)
	}
	for flag, list := range map[string]string{"--cpuset-cpus": f.cpusetCPUs, "--cpuset-mems": f.cpusetMems} {
		if !isNumberList(list) {
			return invalid("%s %q: give numbers and ranges, such as 0-2,7", flag, list)
		}
	}
	l.CPUPeriod, l.CPUQuota, l.CPUShares = uint64(f.period), max(f.quota, -1), uint64(f.shares)
	if f.cpus == "" {
		return nil
	}
	var err error
	l.NanoCPUs, err = nanoCPUs(f.cpus)
	return err
}

// isNumberList says whether s is empty or a list such as 0-2,7 (cpuset(7), "List format").
func isNumberList(s string) bool {
	if s == "" {
		return true
	}
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(part, "-")
		first, err := strconv.ParseUint(from, 10, 16)
		if err != nil {
			return false
		}
		if last, err := strconv.ParseUint(to, 10, 16); isRange && (err != nil || last < first) {
			return false
		}
	}
	return true
}

func (f *resourceFlags) blockLimits(l *spec.Limits) error {
	if f.weight != 0 && (f.weight < 10 || f.weight > 1000) {
		return invalid("--blkio-weight %d: give a number from 10 to 1000", f.weight)
	}
	l.BlkioWeight = uint16(f.weight)
	bytes := func(s string) (uint64, bool) {
		n, err := units.RAMInBytes(s)
		return uint64(n), err == nil && n >= 0
	}
	count := func(most uint64) func(string) (uint64, bool) {
		return func(s string) (uint64, bool) {
			n, err := strconv.ParseUint(s, 10, 64)
			return n, err == nil && n <= most
		}
	}
	for _, flag := range []struct {
		name, form string
		values     []string
		to         *[]spec.DeviceRate
		parse      func(string) (uint64, bool)
	}{
		{"--blkio-weight-device", "WEIGHT from 10 to 1000", f.weights.Value(), &l.DeviceWeight, count(1000)},
		{"--device-read-bps", "BYTES, such as 10mb", f.readBps.Value(), &l.ReadBps, bytes},
		{"--device-write-bps", "BYTES, such as 10mb", f.writeBps.Value(), &l.WriteBps, bytes},
		{"--device-read-iops", "NUMBER", f.readIOps.Value(), &l.ReadIOps, count(math.MaxUint64)},
		{"--device-write-iops", "NUMBER", f.writeIOps.Value(), &l.WriteIOps, count(math.MaxUint64)},
	} {
		for _, v := range flag.values {
			device, number, _ := strings.Cut(v, ":")
			n, ok := flag.parse(number)
			if !ok || !strings.HasPrefix(device, "/dev/") || n < 10 && flag.to == &l.DeviceWeight {
				return invalid("%s %q: give /dev/DEVICE:%s", flag.name, v, flag.form)
			}
			*flag.to = append(*flag.to, spec.DeviceRate{Path: device, Rate: n})
		}
	}
	return nil
}

// nanoCPUs reads a decimal number of CPUs exactly: 1.5 is 1,500,000,000.
func nanoCPUs(s string) (int64, error) {
	bad := invalid("--cpus %q: give a number between 0.01 and %d, the CPUs of this machine", s, runtime.NumCPU())
	whole, fraction, _ := strings.Cut(s, ".")
	if len(whole) > 6 || len(fraction) > 9 || whole+fraction == "" {
		return 0, bad
	}
	var nano int64
	for _, r := range whole + fraction + strings.Repeat("0", 9-len(fraction)) {
		if r < '0' || r > '9' {
			return 0, bad
		}
		nano = nano*10 + int64(r-'0')
	}
	if nano != 0 && nano < 1e7 || nano > int64(runtime.NumCPU())*1e9 {
		return 0, bad
	}
	return nano, nil
}
