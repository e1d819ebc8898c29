package stage

import (
	"unsafe"

	"github.com/lrun-dev/lrun/runtime/stage/sys"
)

// Op says what a Step does.
type Op uint64

// The operations, in the order in which a start usually has them. Paths are names inside the
// container's root, resolved so that no link leads out of it, unless the comment says otherwise.
const (
	// OpJoin writes 0 to the descriptor: the calling thread enters that v1 cgroup.
	OpJoin Op = iota + 1
	// OpUnshare leaves the namespaces in Flags.
	OpUnshare
	// OpHostname sets the host name to Path.
	OpHostname
	// OpDomain sets the NIS domain name to Path.
	OpDomain
	// OpLoopback brings lo up in the network namespace.
	OpLoopback
	// OpRoot attaches the descriptor, a detached mount, over the root of this mount namespace, every mount of which is
	// private then. What follows resolves its names in that mount.
	OpRoot
	// OpAttach attaches the descriptor, a detached mount, at Path, which is made if it is missing.
	OpAttach
	// OpFilesystem mounts a new filesystem of type Data[0] with the options Data[1:] (key=value or a
	// flag) and the mount attributes Attr at Path. With a descriptor, the mount takes its place for later steps.
	OpFilesystem
	// OpInside binds the container's own file Data[0] at Path.
	OpInside
	// OpMask covers Path, a file by the container's /dev/null, a directory by an empty one. A
	// missing Path is no error.
	OpMask
	// OpReadOnly makes Path read-only. A missing Path is no error.
	OpReadOnly
	// OpReadOnlyMount makes the descriptor, a mount, read-only by itself, not what is mounted below it.
	OpReadOnlyMount
	// OpMkdir makes the directory Path and its parents.
	OpMkdir
	// OpDevice makes the device node Path in a directory that is there, with the type and mode, number, uid and gid in Blob (four uint64). Flags are
	// those of OpAttach.
	OpDevice
	// OpPivot makes the root attached by OpRoot the root of this process and drops the host's where it is still there.
	OpPivot
	// OpSession starts a session, with a keyring of its own; with a descriptor (a terminal) that becomes its controlling terminal.
	OpSession
	// OpStdio puts the descriptor, or without one the container's own /dev/null, at the number Flags (0, 1, 2).
	OpStdio
	// OpLimit sets the resource limit Flags to the soft and hard values in Blob (two uint64).
	OpLimit
	// OpSeccomp loads the filter in Blob, an array of struct sock_filter, with the flags of seccomp(2) in Flags.
	OpSeccomp
	// OpNoNewPrivileges sets no_new_privs.
	OpNoNewPrivileges
	// OpBounding drops every capability from the bounding set that is not in the mask Flags.
	OpBounding
	// OpChdir enters the directory Path; no magic link of procfs is followed.
	OpChdir
	// OpUser becomes uid Flags, gid Attr, with the supplementary groups in Blob (uint32 each).
	OpUser
	// OpCapabilities sets the masks in Blob: effective, permitted, inheritable, ambient (uint64 each).
	OpCapabilities
	// OpDeathSignal asks for signal Flags when the parent's thread ends, and dies if it already has.
	OpDeathSignal
	// OpExec executes the first of the files in Blob (strings) that can be executed, or the
	// descriptor, with the arguments Data and the environment Env.
	OpExec
	// OpAttribute writes Blob to the first of the host's files Data, all of procfs, that is there.
	OpAttribute
	// OpSeal closes at exec what the program must not get, and resets its signals, so that OpExec after a filter of the
	// user's own needs nothing but execve.
	OpSeal
)

// Flags of OpAttach, OpFilesystem and OpInside.
const (
	// IsFile says that a missing Path is made as a file; otherwise as a directory.
	IsFile = 1 << iota
	// NoSymlinks refuses a Path with any symbolic link in it, with ELOOP.
	NoSymlinks
	// LikeTarget gives the root of what is attached the mode of the directory that Path already is.
	LikeTarget
)

// Step is one operation. The meaning of its fields is the Op's.
type Step struct {
	Op    Op
	FD    int // index among the descriptors sent along; -1: none
	Path  string
	Flags uint64
	Attr  uint64
	Data  []string
	Env   []string
	Blob  []byte
}

// Encode appends the wire form of the steps to b: numbers as 8 bytes, little endian, strings and
// lists with their length before them.
func Encode(b []byte, steps []Step) []byte {
	b = appendNumber(b, uint64(len(steps)))
	for i := range steps {
		s := &steps[i]
		for _, n := range [...]uint64{uint64(s.Op), uint64(int64(s.FD)), s.Flags, s.Attr} {
			b = appendNumber(b, n)
		}
		b = appendString(b, s.Path)
		b = appendStrings(b, s.Data)
		b = appendStrings(b, s.Env)
		b = appendString(b, string(s.Blob))
	}
	return b
}

// Strings packs a list of strings for Step.Blob.
func Strings(list []string) []byte { return appendStrings(nil, list) }

// Numbers packs numbers for Step.Blob.
func Numbers(list ...uint64) []byte {
	var b []byte
	for _, n := range list {
		b = appendNumber(b, n)
	}
	return b
}

func appendNumber(b []byte, n uint64) []byte {
	for shift := 0; shift < 64; shift += 8 {
		b = append(b, byte(n>>shift))
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(appendNumber(b, uint64(len(s))), s...)
}

func appendStrings(b []byte, list []string) []byte {
	b = appendNumber(b, uint64(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

// decoder reads the wire form; bad says that it ended early or counts more than it holds.
type decoder struct {
	b   []byte
	bad bool
}

// decode returns steps that lie in m, and strings in b, which must be there too.
func decode(b []byte, m *sys.Memory) ([]Step, bool) {
	d := decoder{b: b}
	n := d.count(stepSize)
	steps := sys.List[Step](m, n)
	for i := range steps {
		s := &steps[i]
		s.Op, s.FD, s.Flags, s.Attr = Op(d.number()), int(int64(d.number())), d.number(), d.number()
		s.Path = d.string()
		s.Data = d.strings(m)
		s.Env = d.strings(m)
		s.Blob = d.bytes()
	}
	return steps, !d.bad && len(d.b) == 0
}

func (d *decoder) number() uint64 {
	if len(d.b) < 8 {
		d.bad, d.b = true, nil
		return 0
	}
	var n uint64
	for i := range 8 {
		n |= uint64(d.b[i]) << (8 * i)
	}
	d.b = d.b[8:]
	return n
}

// The least that a step and a string or list take in the wire form.
const (
	stepSize   = 8 * numberSize
	numberSize = 8
)

// count reads the length of something of which every part takes at least so many bytes.
func (d *decoder) count(each int) int {
	n := d.number()
	if n > uint64(len(d.b)/each) {
		d.bad, d.b = true, nil
		return 0
	}
	return int(n)
}

func (d *decoder) bytes() []byte {
	n := d.count(1)
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) string() string {
	b := d.bytes()
	return unsafe.String(unsafe.SliceData(b), len(b))
}

func (d *decoder) strings(m *sys.Memory) []string {
	n := d.count(numberSize)
	list := sys.List[string](m, n)
	for i := range list {
		list[i] = d.string()
	}
	return list
}
