// Package calm spares a process of a few milliseconds what the Go runtime does to watch over long ones.
package calm

import (
	"os"
	"strconv"
)

// slack is how late the watching thread may wake, in nanoseconds.
const slack = "2000000"

// Watcher lets the thread by which the Go runtime watches the others wake up to 2 ms late. It sleeps for 20 µs at a time while
// anything runs, a hundred times in a start of 10 ms, on one of the processors that have to do the start. What it does can wait that
// long: it gives the place of a thread that stays in a system call to another, and interrupts who runs for 10 ms.
//
// It is the second thread of the process (proc(5), /proc/PID/timerslack_ns, since Linux 4.6, needs CAP_SYS_NICE). Where that cannot
// be changed all stays as it is.
func Watcher() {
	if tid := second(); tid != 0 {
		_ = os.WriteFile("/proc/"+strconv.Itoa(tid)+"/timerslack_ns", []byte(slack), 0) // only the processor time is at stake
	}
}

// second returns the thread that this process made first; 0 where there is none. The kernel lists them in that order.
func second() int {
	dir, err := os.Open("/proc/self/task")
	if err != nil {
		return 0
	}
	names, err := dir.Readdirnames(-1)
	if closed := dir.Close(); err != nil || closed != nil || len(names) < 2 {
		return 0
	}
	tid, err := strconv.Atoi(names[1])
	if err != nil {
		return 0
	}
	return tid
}
