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

func newTracer() tracer {
	value, ok := syscall.Getenv(TraceVariable)
	t := tracer{on: ok}
	for i := range len(value) {
		t.first = t.first*10 + int64(value[i]-'0')
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
	if sys.Call3(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&now)), 0) != 0 {
		return
	}
	line := append([]byte("trace "), decimal("", (now.Nano()-t.first)/1000)...)
	line = append(line, " µs "...)
	line = append(line, decimal("+", (now.Nano()-t.last)/1000)...)
	line = append(line, "    "...)
	line = append(line, done...)
	if detail != "" {
		line = append(line, ' ')
		line = append(line, detail...)
	}
	_, _ = syscall.Write(2, append(line, '\n'))
	t.last = now.Nano()
}

// decimal returns sign and n, which is not negative, in at least seven characters.
func decimal(sign string, n int64) []byte {
	b := make([]byte, 27)
	i := len(b)
	for more := true; more; more = n > 0 {
		i--
		b[i] = byte('0' + n%10)
		n /= 10
	}
	i -= copy(b[i-len(sign):], sign)
	for len(b)-i < 7 {
		i--
		b[i] = ' '
	}
	return b[i:]
}

// name says in a word or two what an operation has done.
func (o Op) name() string {
	names := [...]string{
		OpJoin: "cgroup joined", OpUnshare: "namespace left", OpHostname: "host named", OpDomain: "domain named", OpLoopback: "loopback up",
		OpRoot: "root attached", OpAttach: "attached", OpFilesystem: "mounted", OpInside: "bound", OpMask: "masked",
		OpReadOnly: "read-only", OpReadOnlyMount: "mount read-only", OpMkdir: "directory there", OpDevice: "device made", OpPivot: "host's root gone",
		OpSession: "session", OpStdio: "stream", OpLimit: "limit", OpSeccomp: "filter loaded", OpNoNewPrivileges: "no new privileges",
		OpBounding: "bounding set", OpChdir: "entered", OpUser: "user", OpCapabilities: "capabilities", OpDeathSignal: "death signal",
		OpExec: "executed",
	}
	if int(o) >= len(names) {
		return ""
	}
	return names[o]
}
