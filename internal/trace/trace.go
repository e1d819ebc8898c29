// Package trace shows where the time of one lrun process goes.
package trace

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Variable is the environment variable that switches the trace on when it is 1. From then on it holds the moments of the
// first and the latest step, in nanoseconds since boot, so that the process has no variable that changes.
const Variable = "LRUN_TRACE"

// Step writes one line to standard error if the trace is on: the microseconds since the first step and since the one
// before, and what has just been done. It costs a look at the environment otherwise.
func Step(done string) {
	value := os.Getenv(Variable)
	if value == "" {
		return
	}
	now := clock()
	first, last, ok := moments(value)
	if !ok {
		first, last = now, now
	}
	fmt.Fprintf(os.Stderr, "trace %7d µs %+7d  %s\n", (now-first)/1000, (now-last)/1000, done)
	_ = os.Setenv(Variable, strconv.FormatInt(first, 10)+","+strconv.FormatInt(now, 10))
}

// Beginning is the moment of the first step in decimal nanoseconds since boot, for a process that goes on with the
// trace; empty when it is off.
func Beginning() string {
	first, _, found := strings.Cut(os.Getenv(Variable), ",")
	if !found {
		return ""
	}
	return first
}

// moments reads what Step left in Variable.
func moments(value string) (first, last int64, ok bool) {
	before, after, _ := strings.Cut(value, ",")
	first, err := strconv.ParseInt(before, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	last, err = strconv.ParseInt(after, 10, 64)
	return first, last, err == nil
}

// clock is the time since boot in nanoseconds.
func clock() int64 {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return time.Now().UnixNano()
	}
	return now.Nano()
}
