package stage

import (
	"syscall"
	"unsafe"

	"github.com/lrun-dev/lrun/runtime/stage/sys"
)

// TraceVariable is the environment variable that makes a stage write a line to standard error for every step; its value
// is the moment from which the time is counted, in decimal nanoseconds since boot.
const TraceVariable = "_LRUN_STAGE_TRACE"

// tracer writes the lines; one that is off does nothing.
type tracer struct {
	on          bool
	first, last int64
}

func newTracer(since string, on bool) tracer {
	t := tracer{on: on}
	for i := range len(since) {
		t.first = t.first*10 + int64(since[i]-'0')
	}
	t.last = t.first
	return t
}

// step says what has been done. Packages fmt and strconv are not initialised yet.
func (t *tracer) step(done, detail string) {
	if !t.on {
		return
	}
	var now syscall.Timespec
	const clockBoottime = 7
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&now)), 0); errno != 0 {
		return
	}
	at := now.Sec*1e9 + now.Nsec
	var text [256]byte
	line := builder{b: text[:]}
	line.string("trace ")
	line.decimal("", (at-t.first)/1000)
	line.string(" µs ")
	line.decimal("+", (at-t.last)/1000)
	line.string("    ")
	line.string(done)
	if detail != "" {
		line.string(" ")
		line.string(detail[:min(len(detail), 128)])
	}
	line.string("\n")
	_ = sys.Write(2, line.text())
	t.last = at
}

// decimal adds sign and n, which is not negative, in at least seven characters.
func (b *builder) decimal(sign string, n int64) {
	var digits [20]byte
	i := len(digits)
	for more := true; more; more = n > 0 {
		i--
		digits[i] = byte('0' + n%10)
		n /= 10
	}
	for range 7 - len(sign) - (len(digits) - i) {
		b.string(" ")
	}
	b.string(sign)
	b.n += copy(b.b[b.n:], digits[i:])
}

var names = [...]string{
	OpJoin: "cgroup joined", OpUnshare: "namespace left", OpHostname: "host named", OpDomain: "domain named", OpLoopback: "loopback up",
	OpRoot: "root attached", OpAttach: "attached", OpFilesystem: "mounted", OpInside: "bound", OpMask: "masked",
	OpReadOnly: "read-only", OpReadOnlyMount: "mount read-only", OpMkdir: "directory there", OpDevice: "device made", OpPivot: "host's root gone",
	OpSession: "session", OpStdio: "stream", OpLimit: "limit", OpSeccomp: "filter loaded", OpNoNewPrivileges: "no new privileges",
	OpBounding: "bounding set", OpChdir: "entered", OpUser: "user", OpCapabilities: "capabilities", OpDeathSignal: "death signal",
	OpExec: "executed",
}

// name says in a word or two what an operation has done.
func (o Op) name() string {
	if int(o) >= len(names) {
		return ""
	}
	return names[o]
}
