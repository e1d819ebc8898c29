// Package stage is what the first process of a container executes before the container's own program.
//
// It imports only syscall and unsafe. The Go specification initialises, among the packages that are
// ready, the one with the smallest import path first, so this package's init runs before nearly all
// others of the lrun binary: a container start does not pay for what the rest of lrun needs
// (docs/adr/0002-start-stage.md). The parent plans everything as a list of Steps and sends it, with
// the descriptors that the steps use, over a socket; init executes them and never returns.
package stage

import "syscall"

// Variable is the environment variable that makes init take over; its value is the number of the
// inherited descriptor of a Unix SOCK_SEQPACKET socket. Without such a socket it has no effect.
const Variable = "_LRUN_STAGE"

// exitStatus is the exit status of a stage that could not finish; the parent has the reason.
const exitStatus = 125

// The one init function of lrun: see the package comment.
func init() {
	value, ok := syscall.Getenv(Variable)
	if !ok {
		return
	}
	socket, ok := number(value)
	if !ok || !isSocket(socket) {
		return
	}
	run(socket)
	syscall.Exit(exitStatus)
}

// run receives the plan and executes it. It returns only when a step failed and was reported.
func run(socket int) {
	syscall.CloseOnExec(socket)
	// A neighbour in the same PID namespace must not reach this process and the host's files that it has open, once it
	// has no more privilege than the neighbour (CVE-2016-9962). The program's own exec ends it.
	if err := prctl(prSetDumpable, 0); err != 0 {
		report(socket, noStep, err, "")
		return
	}
	trace := newTracer()
	trace.step("first process waits", "")
	fds, err := receive(socket)
	var plan []byte
	if err == 0 {
		plan, err = readAll(fds[0])
	}
	steps, ok := decode(plan)
	if err == 0 && !ok {
		err = syscall.EBADMSG
	}
	if err != 0 {
		report(socket, noStep, err, "")
		return
	}
	syscall.Umask(0o022) // Docker's, whatever lrun's own is
	c := child{socket: socket, fds: fds[1:], root: -1}
	trace.step("plan read", "")
	for i := range steps {
		if steps[i].Op == OpExec {
			trace.step("ready to execute", "")
		}
		if err := c.execute(&steps[i]); err != 0 {
			report(socket, uint64(i), err, c.detail)
			return
		}
		trace.step(steps[i].Op.name(), steps[i].Path)
	}
}

// child is the state that steps share.
type child struct {
	socket int
	fds    []int
	root   int    // the container's root, once it is attached
	detail string // what the failing step was working on, when its own Path does not say it
	sealed bool   // OpSeal is done
	retry  string // a working directory that only the container's user may enter
}

func (c *child) fd(s *Step) int {
	if s.FD < 0 || s.FD >= len(c.fds) {
		return -1
	}
	return c.fds[s.FD]
}

// execute runs one step.
func (c *child) execute(s *Step) syscall.Errno {
	switch s.Op {
	case OpJoin:
		return writeAll(c.fd(s), "0")
	case OpUnshare:
		return errno1(syscall.SYS_UNSHARE, uintptr(s.Flags))
	case OpHostname:
		return errnoOf(syscall.Sethostname([]byte(s.Path)))
	case OpDomain:
		return errnoOf(syscall.Setdomainname([]byte(s.Path)))
	case OpLoopback:
		return loopbackUp()
	case OpAttribute:
		return c.attribute(s)
	case OpRoot:
		return c.attachRoot(s)
	case OpAttach, OpFilesystem, OpInside, OpMask, OpReadOnly, OpReadOnlyMount, OpMkdir, OpPivot:
		return c.mountStep(s)
	case OpDevice:
		return c.device(s)
	default:
		return c.processStep(s)
	}
}

func (c *child) mountStep(s *Step) syscall.Errno {
	switch s.Op {
	case OpAttach:
		return c.attach(c.fd(s), s)
	case OpFilesystem:
		return c.filesystem(s)
	case OpInside:
		return c.inside(s)
	case OpMask:
		return c.mask(s)
	case OpReadOnly:
		return c.readOnly(s)
	case OpReadOnlyMount:
		return setReadOnly(c.fd(s), 0)
	case OpMkdir:
		fd, err := ensureDir(c.root, s.Path)
		closeFD(fd)
		return err
	default:
		return c.pivot()
	}
}

func (c *child) processStep(s *Step) syscall.Errno {
	switch s.Op {
	case OpSession:
		return c.session(s)
	case OpStdio:
		return c.stdio(s)
	case OpLimit:
		return setLimit(s)
	case OpSeccomp:
		return loadSeccomp(s.Blob, uintptr(s.Flags))
	case OpNoNewPrivileges:
		return prctl(prSetNoNewPrivs, 1)
	case OpBounding:
		return dropBounding(s.Flags)
	case OpChdir:
		return c.chdir(s)
	case OpUser:
		return c.become(s)
	case OpCapabilities:
		return setCapabilities(s)
	case OpDeathSignal:
		return c.dieWithParent(s.Flags)
	case OpExec:
		return c.exec(s)
	case OpSeal:
		return c.seal()
	default:
		return syscall.ENOSYS
	}
}
