package stage

import (
	"syscall"
	"unsafe"

	"github.com/lrun-dev/lrun/runtime/stage/sys"
)

// What stands in a report for what fails before the first step.
const (
	noStep    = ^uint64(0)
	leaveStep = ^uint64(1)
)

// maxFDs is the number of descriptors in one message: the kernel's SCM_MAX_FD is 253.
const maxFDs = 250

// Failure is the report of a stage that did not reach the container's program.
type Failure struct {
	Step   int // index of the step, or one of the constants below zero
	Errno  syscall.Errno
	Detail string // the file that was being worked on, where the step's Path does not say it
}

// What Failure.Step is for what fails before the first step.
const (
	PlanLost = -1 // the plan did not arrive
	HostKept = -2 // the host's mounts could not be left
)

// Send gives the plan to a stage. plan is a memfd with the encoded steps; fds are the descriptors
// that the steps refer to by index. The caller closes them all.
func Send(socket int, plan int, fds []int) error {
	all := append([]int{plan}, fds...)
	for len(all) > 0 {
		n := min(len(all), maxFDs)
		more := byte(0)
		if n < len(all) {
			more = 1
		}
		if err := syscall.Sendmsg(socket, []byte{more}, syscall.UnixRights(all[:n]...), nil, syscall.MSG_NOSIGNAL); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// executing is the message that a stage sends last, when only the execution itself can fail.
const executing = 'x'

// ErrDied is the error of Wait for a stage that ended without a report and without executing the program: somebody
// killed it.
const ErrDied = syscall.ESRCH

// Wait returns nil once the stage has executed the container's program, which closes its end of the
// socket; else its report.
func Wait(socket int) (*Failure, error) {
	ready := false
	b := make([]byte, 8192)
	for {
		n, err := syscall.Read(socket, b)
		switch {
		case sys.ErrnoOf(err) == syscall.EINTR:
		case n == 1 && b[0] == executing:
			ready = true
		case err != nil || n == 0:
			if err = ignoreReset(err); err == nil && !ready {
				err = ErrDied
			}
			return nil, err
		default:
			d := decoder{b: b[:n]}
			f := &Failure{Step: int(int64(d.number())), Errno: syscall.Errno(d.number())}
			f.Detail = d.string()
			return f, nil
		}
	}
}

func ignoreReset(err error) error {
	if sys.ErrnoOf(err) == syscall.ECONNRESET {
		return nil
	}
	return err
}

func report(socket int, step uint64, errno syscall.Errno, detail string) {
	if len(detail) > 4096 {
		detail = detail[:4096]
	}
	b := appendNumber(nil, step)
	b = appendNumber(b, uint64(errno))
	b = appendString(b, detail)
	_, _ = syscall.Write(socket, b)
}

// receive takes the messages of Send: at least one descriptor, the plan's.
func receive(socket int) ([]int, syscall.Errno) {
	var fds []int
	for {
		more := []byte{0}
		oob := make([]byte, syscall.CmsgSpace(4*maxFDs))
		n, oobn, errno := recvmsg(socket, more, oob)
		if errno != 0 {
			return nil, errno
		}
		if n == 0 {
			return nil, syscall.ECONNRESET // the parent is gone
		}
		got, ok := rights(oob[:oobn])
		if !ok {
			return nil, syscall.EBADMSG
		}
		fds = append(fds, got...)
		if more[0] == 0 {
			break
		}
	}
	if len(fds) == 0 {
		return nil, syscall.EBADMSG
	}
	return fds, 0
}

func recvmsg(socket int, p, oob []byte) (n, oobn int, errno syscall.Errno) {
	iov := syscall.Iovec{Base: &p[0]}
	iov.SetLen(len(p))
	msg := syscall.Msghdr{Iov: &iov, Iovlen: 1, Control: &oob[0]}
	msg.SetControllen(len(oob))
	for {
		r, _, errno := syscall.RawSyscall(syscall.SYS_RECVMSG, uintptr(socket), uintptr(unsafe.Pointer(&msg)), syscall.MSG_CMSG_CLOEXEC)
		if errno == syscall.EINTR {
			continue
		}
		return int(r), int(msg.Controllen), errno
	}
}

func rights(oob []byte) ([]int, bool) {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, false
	}
	var fds []int
	for i := range messages {
		got, err := syscall.ParseUnixRights(&messages[i])
		if err != nil {
			return nil, false
		}
		fds = append(fds, got...)
	}
	return fds, true
}

func readAll(fd int) ([]byte, syscall.Errno) {
	var st syscall.Stat_t
	if errno := sys.ErrnoOf(syscall.Fstat(fd, &st)); errno != 0 {
		return nil, errno
	}
	b := make([]byte, st.Size)
	for done := 0; done < len(b); {
		n, err := syscall.Pread(fd, b[done:], int64(done))
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return nil, sys.ErrnoOf(err)
		}
		done += n
	}
	return b, 0
}

func isSocket(fd int) bool {
	kind, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE)
	return err == nil && kind == syscall.SOCK_SEQPACKET
}

// number parses a descriptor's number; strconv is not initialised yet.
func number(s string) (int, bool) {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' || n > 1<<20 {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, s != ""
}
