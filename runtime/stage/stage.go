// Package stage is what the first process of a container executes before the container's own program.
//
// A container start does not pay for what the rest of lrun needs (docs/adr/0002-start-stage.md). Where lrun is linked with the entry
// symbol of this package, the stage begins even before the Go runtime does: see bare. Otherwise its init takes over: it
// imports only syscall and unsafe, and the Go specification initialises, among the packages that are ready, the one with the
// smallest import path first, so it runs before nearly all others. So all that the stage does must need neither.
//
// The parent plans everything as a list of Steps and sends it, with the descriptors that the steps use, over a socket; the stage
// executes them and never returns.
package stage

import (
	"syscall"
	"unsafe"

	"github.com/lrun-dev/lrun/runtime/stage/sys"
)

// Name is the name by which the parent executes lrun as a stage.
const Name = "lrun-stage"

// Variable is the environment variable that makes the stage take over; its value is the number of the
// inherited descriptor of a Unix SOCK_SEQPACKET socket, with Leave behind it where the process is to leave the host's
// mounts while it waits for the plan. Without such a socket it has no effect.
const Variable = "_LRUN_STAGE"

// Leave behind the number in Variable makes the stage exchange the host's mounts for one empty directory, which the
// container's root covers later: to let go of them the kernel waits for every processor, up to half a millisecond. Not in a
// user namespace of its own, where a new procfs may be mounted only as long as the host's is there.
const Leave = ",leave"

// exitStatus is the exit status of a stage that could not finish; the parent has the reason.
const exitStatus = 125

// The one init function of lrun: see the package comment.
func init() {
	if value, ok := syscall.Getenv(Variable); ok {
		since, traced := syscall.Getenv(TraceVariable)
		begin(value, newTracer(since, traced))
	}
}

// begin does not return where value names a socket of the kind that the parent makes.
func begin(value string, t tracer) {
	value, _, leave := cut(value, Leave[0])
	socket, ok := number(value)
	if !ok || !isSocket(socket) {
		return
	}
	run(socket, leave, t)
	sys.Exit(exitStatus)
}

// run receives the plan and executes it. It returns only when a step failed and was reported.
func run(socket int, leave bool, trace tracer) {
	_ = sys.Call3(syscall.SYS_FCNTL, uintptr(socket), syscall.F_SETFD, syscall.FD_CLOEXEC)
	// A neighbour in the same PID namespace must not reach this process and the host's files that it has open, once it
	// has no more privilege than the neighbour (CVE-2016-9962). The program's own exec ends it.
	if err := sys.Prctl(sys.PrSetDumpable, 0); err != 0 {
		report(socket, noStep, err, "")
		return
	}
	c := child{socket: socket, root: -1}
	c.proc, _ = sys.Openat2(-100, "/proc", sys.OPath|syscall.O_DIRECTORY, sys.ResolveNoMagic) // without one nothing is written there
	if leave {
		if err := c.leaveHost(); err != 0 {
			report(socket, leaveStep, err, "")
			return
		}
		trace.step(OpPivot.name(), "")
	}
	trace.step("first process waits", "")
	messages := sys.NewMemory(1 << 16)
	fds, err := receive(socket, &messages)
	var plan []byte
	if err == 0 {
		plan, c.memory, err = readAll(fds[0])
	}
	steps, ok := decode(plan, &c.memory)
	if err == 0 && !ok {
		err = syscall.EBADMSG
	}
	if err != 0 {
		report(socket, noStep, err, "")
		return
	}
	sys.Umask(0o022) // Docker's, whatever lrun's own is
	c.fds = fds[1:]
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
	left   bool   // leaveHost is done
	proc   int    // the host's procfs; -1: there was none
	detail string // what the failing step was working on, when its own Path does not say it
	sealed bool   // OpSeal is done
	memory sys.Memory
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
		return sys.Write(c.fd(s), "0")
	case OpUnshare:
		return sys.Call3(syscall.SYS_UNSHARE, uintptr(s.Flags), 0, 0)
	case OpHostname:
		return sys.Call3(syscall.SYS_SETHOSTNAME, uintptr(unsafe.Pointer(unsafe.StringData(s.Path))), uintptr(len(s.Path)), 0)
	case OpDomain:
		return sys.Call3(syscall.SYS_SETDOMAINNAME, uintptr(unsafe.Pointer(unsafe.StringData(s.Path))), uintptr(len(s.Path)), 0)
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
		return sys.SetReadOnly(c.fd(s), 0)
	case OpMkdir:
		fd, err := ensureDir(c.root, s.Path)
		sys.Close(fd)
		return err
	default:
		return c.enterRoot()
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
		return sys.Prctl(sys.PrSetNoNewPrivs, 1)
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
