// Package trace shows where the time of one lrun process goes.
package trace

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Variable is the environment variable that switches the trace on when it is 1.
const Variable = "LRUN_TRACE"

// Step writes one line to standard error if the trace is on: the microseconds since the process was
// made (clone, not exec) and what has just been done. It costs a look at the environment otherwise.
func Step(done string) {
	if os.Getenv(Variable) != "1" {
		return
	}
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return
	}
	since := time.Duration(now.Nano()) - started()
	fmt.Fprintf(os.Stderr, "trace %8d µs  %s\n", since.Microseconds(), done)
}

// started is when this process was made, since boot (proc_pid_stat(5), field 22), which the kernel counts in
// ticks of 10 ms: the first steps can be that much too late.
func started() time.Duration {
	var ticks uint64
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0
	}
	field := 0
	for _, c := range b {
		switch {
		case c == ' ':
			field++
		case field == 21:
			ticks = ticks*10 + uint64(c-'0')
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
