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

// maxDetail is how much of Failure.Detail arrives.
const maxDetail = 4096

func report(socket int, step uint64, errno syscall.Errno, detail string) {
	if len(detail) > maxDetail {
		detail = detail[:maxDetail]
	}
	var message [3*numberSize + maxDetail]byte
	b := builder{b: message[:]}
	b.number(step)
	b.number(uint64(errno))
	b.number(uint64(len(detail)))
	b.string(detail)
	_, _, _ = syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(socket), uintptr(unsafe.Pointer(&message)), uintptr(b.n), syscall.MSG_NOSIGNAL, 0, 0)
}

// receive takes the messages of Send: at least one descriptor, the plan's.
func receive(socket int, m *sys.Memory) ([]int, syscall.Errno) {
	var fds []int
	for {
		more, oob := m.Bytes(1), m.Bytes(controlHeader+4*maxFDs)
		n, oobn, errno := recvmsg(socket, more, oob)
		if errno != 0 {
			return nil, errno
		}
		if n == 0 {
			return nil, syscall.ECONNRESET // the parent is gone
		}
		got, ok := rights(oob[:oobn], m)
		if !ok {
			return nil, syscall.EBADMSG
		}
		fds = joined(fds, got, m)
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

// controlHeader is the size of struct cmsghdr.
const controlHeader = 16

// rights reads the descriptors of a control message, the only one (unix(7), SCM_RIGHTS).
func rights(oob []byte, m *sys.Memory) ([]int, bool) {
	if len(oob) < controlHeader {
		return nil, len(oob) == 0
	}
	d := decoder{b: oob}
	size, kind := d.number(), d.number() // level and type are the halves of the second
	if kind != syscall.SCM_RIGHTS<<32|syscall.SOL_SOCKET || size < controlHeader || size > uint64(len(oob)) {
		return nil, false
	}
	n := int(size-controlHeader) / 4
	fds := sys.List[int](m, n)
	for i := range fds {
		b := d.b[4*i : 4*i+4]
		fds[i] = int(b[0]) | int(b[1])<<8 | int(b[2])<<16 | int(b[3])<<24
	}
	return fds, true
}

// joined returns both lists as one.
func joined(a, b []int, m *sys.Memory) []int {
	list := sys.List[int](m, len(a)+len(b))
	copy(list[copy(list, a):], b)
	return list
}

// readAll reads the plan, and returns it with memory for what is decoded of it.
func readAll(fd int) ([]byte, sys.Memory, syscall.Errno) {
	st, errno := sys.Fstat(fd)
	if errno != 0 {
		return nil, sys.Memory{}, errno
	}
	m := sys.NewMemory(4*int(st.Size) + 1<<16)
	b := m.Bytes(int(st.Size))
	for done := 0; done < len(b); {
		n, errno := sys.Call(syscall.SYS_PREAD64, uintptr(fd), uintptr(unsafe.Pointer(&b[done])), uintptr(len(b)-done), uintptr(done))
		if errno != 0 || n == 0 {
			return nil, m, errno
		}
		done += int(n)
	}
	return b, m, 0
}

func isSocket(fd int) bool {
	var kind, size int32 = 0, 4
	_, _, errno := syscall.RawSyscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), syscall.SOL_SOCKET, syscall.SO_TYPE,
		uintptr(unsafe.Pointer(&kind)), uintptr(unsafe.Pointer(&size)), 0)
	return errno == 0 && kind == syscall.SOCK_SEQPACKET
}

// builder fills memory that is large enough.
type builder struct {
	b []byte
	n int
}

func (b *builder) string(s string) { b.n += copy(b.b[b.n:], s) }

func (b *builder) number(n uint64) {
	for shift := 0; shift < 64; shift += 8 {
		b.b[b.n] = byte(n >> shift)
		b.n++
	}
}

func (b *builder) text() string { return unsafe.String(unsafe.SliceData(b.b), b.n) }

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
