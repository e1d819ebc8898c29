// Package procstat reads what /proc/PID/stat says of a process.
package procstat

import (
	"bytes"
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
