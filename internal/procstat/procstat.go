// Package procstat reads what /proc/PID/stat says of a process.
package procstat

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// Stat is a process at one moment.
type Stat struct {
	Parent int    // process id
	Start  uint64 // in clock ticks since boot: with it, and the boot, a process id is unique
	Zombie bool   // it has ended and nobody has waited for it yet
}

// Read returns what proc_pid_stat(5) says of the process pid. One that is not there is fs.ErrNotExist or ESRCH.
func Read(pid int) (Stat, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Stat{}, err
	}
	s, err := parse(b)
	if err != nil {
		return Stat{}, fmt.Errorf("read state of process %d: %w", pid, err)
	}
	return s, nil
}

func parse(b []byte) (Stat, error) {
	// The command name, field 2 in parentheses, may hold anything; field 3 starts after the last one.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 20 {
		return Stat{}, fmt.Errorf("%d fields after the name", len(fields))
	}
	parent, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return Stat{}, err
	}
	start, err := strconv.ParseUint(string(fields[19]), 10, 64)
	return Stat{Parent: parent, Start: start, Zombie: fields[0][0] == 'Z'}, err
}

// Is tells whether s, which Read has just returned of the process pid, is of the process whose Start was recorded, here or by a
// process in another time namespace (time_namespaces(7)), where the machine started at another time. It costs nothing where both
// are equal.
func (s Stat) Is(pid int, recorded uint64) bool {
	if s.Start == recorded {
		return true
	}
	own, ownErr := bootOffset("self")
	theirs, err := bootOffset(strconv.Itoa(pid)) // of who recorded it, too: it is inherited
	if ownErr != nil || err != nil || own == theirs {
		return false
	}
	difference := int64(s.Start) - own - int64(recorded) + theirs
	return -1 <= difference && difference <= 1 // each was rounded
}

// bootOffset is how much later the clock since boot is in the time namespace of a process, in clock ticks.
func bootOffset(process string) (int64, error) {
	b, err := os.ReadFile("/proc/" + process + "/timens_offsets")
	if err != nil {
		return 0, err
	}
	return parseOffset(b)
}

func parseOffset(b []byte) (int64, error) {
	const ticks = 100 // a second, of which every program is told (USER_HZ)
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) != 3 || string(f[0]) != "boottime" {
			continue
		}
		seconds, err := strconv.ParseInt(string(f[1]), 10, 64)
		if err != nil {
			return 0, err
		}
		nanoseconds, err := strconv.ParseInt(string(f[2]), 10, 64)
		return seconds*ticks + nanoseconds/(1e9/ticks), err
	}
	return 0, errors.New("no clock since boot")
}
