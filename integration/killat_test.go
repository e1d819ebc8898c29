package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lrun-dev/lrun/internal/testutil"
)

// survivorPatience is how long what a killed command has started may outlive it, before testutil.Patience.
const survivorPatience = 2 * time.Second

// killatMain is killat N COMMAND ARGUMENT…: it kills the command, with SIGKILL, when it or a process that it has
// started is about to do its N-th system call that changes something; 0 is never. It waits until all of them are gone,
// survivorPatience at most after the kill, and prints how many such calls it saw, whether it has killed, and whether something lives
// on. The command's output is dropped, its exit code too.
//
// Calls that only look are not counted: a kill before one is the same as a kill before the next that changes something.
func killatMain() {
	n, err := strconv.Atoi(os.Args[1])
	if err == nil {
		s := stepper{at: n, known: map[int]bool{}}
		err = s.run(os.Args[2:])
		fmt.Println(s.seen, s.killed, s.survived)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "killat:", err)
		os.Exit(1)
	}
}

// stepper traces a command and all that it starts.
type stepper struct {
	at, seen int
	pid      int // of the command
	killed   bool
	survived bool
	known    map[int]bool // the threads that have stopped once
}

func (s *stepper) run(args []string) error {
	runtime.LockOSThread() // the kernel takes a thread as the tracer
	c := exec.Command(args[0], args[1:]...)
	c.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := c.Start(); err != nil {
		return err
	}
	s.pid = c.Process.Pid
	var status unix.WaitStatus
	if _, err := unix.Wait4(s.pid, &status, unix.WALL, nil); err != nil {
		return fmt.Errorf("wait for %s: %w", args[0], err)
	}
	s.known[s.pid] = true
	const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK |
		unix.PTRACE_O_TRACEEXEC
	if err := unix.PtraceSetOptions(s.pid, options); err != nil {
		return fmt.Errorf("trace %s: %w", args[0], err)
	}
	s.resume(s.pid, 0)
	return s.loop()
}

// loop handles every stop until nothing that is traced is left.
func (s *stepper) loop() error {
	var deadline time.Time
	for {
		flags := unix.WALL
		if s.killed {
			flags |= unix.WNOHANG
		}
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, flags, nil)
		switch {
		case errors.Is(err, unix.ECHILD):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("wait: %w", err)
		case pid == 0:
			if deadline.IsZero() {
				deadline = time.Now().Add(testutil.Patience(survivorPatience))
			}
			if time.Now().After(deadline) {
				s.survived = true // and goes on untraced when this process ends
				return nil
			}
			time.Sleep(200 * time.Microsecond)
		case status.Stopped():
			s.stopped(pid, status)
		}
	}
}

func (s *stepper) stopped(pid int, status unix.WaitStatus) {
	signal := status.StopSignal()
	switch {
	case signal == unix.SIGTRAP|0x80:
		s.call(pid)
		signal = 0
	case signal == unix.SIGTRAP: // an event
		signal = 0
	case signal == unix.SIGSTOP && !s.known[pid]: // a new thread or process
		signal = 0
	}
	s.known[pid] = true
	s.resume(pid, signal)
}

// resume lets a thread go on. One that is gone meanwhile is no error.
func (s *stepper) resume(pid int, signal syscall.Signal) {
	request := uintptr(unix.PTRACE_SYSCALL)
	if s.killed {
		request = unix.PTRACE_CONT
	}
	_, _, _ = unix.RawSyscall6(unix.SYS_PTRACE, request, uintptr(pid), 0, uintptr(signal), 0, 0)
}

// callInfo is the kernel's struct ptrace_syscall_info at the beginning of a call.
type callInfo struct {
	op       uint8
	_        [3]uint8
	_        uint32
	_        [2]uint64
	number   uint64
	argument [6]uint64
}

// call counts the system call that a thread is about to do, and kills the command before the one that is asked for.
func (s *stepper) call(pid int) {
	if s.killed {
		return
	}
	var info callInfo
	const entry = 1
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(pid), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 || info.op != entry || !changes(info) {
		return
	}
	s.seen++
	if s.seen == s.at {
		s.killed = true
		_ = unix.Kill(s.pid, unix.SIGKILL) // it may be gone: then what it started goes on by itself
	}
}

// changes tells whether a call may change something that another process sees.
func changes(c callInfo) bool {
	switch c.number {
	case unix.SYS_OPENAT:
		return c.argument[2]&(unix.O_CREAT|unix.O_TRUNC) != 0
	case unix.SYS_READ, unix.SYS_PREAD64, unix.SYS_CLOSE, unix.SYS_LSEEK, unix.SYS_FSTAT, unix.SYS_FSTATFS, unix.SYS_STATFS, unix.SYS_STATX,
		unix.SYS_GETDENTS64, unix.SYS_READLINKAT, unix.SYS_FACCESSAT, unix.SYS_FCNTL, unix.SYS_DUP, unix.SYS_DUP3, unix.SYS_GETCWD,
		unix.SYS_FUTEX, unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MPROTECT, unix.SYS_MADVISE, unix.SYS_BRK, unix.SYS_MINCORE,
		unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK, unix.SYS_TGKILL,
		unix.SYS_GETPID, unix.SYS_GETPPID, unix.SYS_GETTID, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID,
		unix.SYS_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_SCHED_GETAFFINITY, unix.SYS_SCHED_YIELD,
		unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2, unix.SYS_PPOLL, unix.SYS_RESTART_SYSCALL,
		unix.SYS_GETRANDOM, unix.SYS_UNAME, unix.SYS_PRLIMIT64, unix.SYS_SET_TID_ADDRESS, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ,
		unix.SYS_CAPGET, unix.SYS_GETXATTR, unix.SYS_LGETXATTR, unix.SYS_FGETXATTR, unix.SYS_LISTXATTR, unix.SYS_LLISTXATTR,
		unix.SYS_WAIT4, unix.SYS_WAITID, unix.SYS_PIDFD_OPEN, unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_DELETE,
		unix.SYS_SETITIMER, unix.SYS_EXIT:
		return false
	}
	return !looks(c.number)
}
