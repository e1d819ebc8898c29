// Package calm spares a process of a few milliseconds what the Go runtime does to watch over long ones.
package calm

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// slack is how late the watching thread may wake, in nanoseconds.
const slack = 2_000_000

// Watcher lets the thread by which the Go runtime watches the others wake up to 2 ms late. It sleeps for 20 µs at a time while
// anything runs, a hundred times in a start of 10 ms, on one of the processors that have to do the start. What it does can wait that
// long: it gives the place of a thread that stays in a system call to another, and interrupts who runs for 10 ms.
//
// It is the second thread of the process (proc(5), /proc/PID/timerslack_ns, since Linux 4.6, needs CAP_SYS_NICE). Where that cannot
// be changed all stays as it is.
func Watcher() {
	if tid := second(); tid != 0 {
		_ = os.WriteFile("/proc/"+strconv.Itoa(tid)+"/timerslack_ns", []byte(strconv.Itoa(slack)), 0) // only the processor time is at stake
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

// Usual gives the calling thread, to which its goroutine must be locked, the timers of this process's first thread, if it has those of
// the watching one: that makes threads when all others stay in system calls, a thread has the timers of who made it, and so has the
// process that it starts.
func Usual() error {
	now, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil || now != slack {
		return os.NewSyscallError("prctl", err)
	}
	first, err := os.ReadFile("/proc/self/timerslack_ns")
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(first)), 10, 64)
	if err != nil {
		return err
	}
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(n), 0, 0, 0))
}
