package device

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// instruction is the kernel's struct bpf_insn.
type instruction struct {
	code   uint8
	regs   uint8 // destination in the lower half, source in the upper
	offset int16
	imm    int32
}

// Registers: the context, and what a program loads from it.
const (
	r0, regContext, regType, regAccess, regMajor, regMinor = 0, 1, 2, 3, 4, 5
)

const (
	opLoadWord = unix.BPF_LDX | unix.BPF_MEM | unix.BPF_W
	opMov      = unix.BPF_ALU | unix.BPF_MOV | unix.BPF_X
	opMovImm   = unix.BPF_ALU | unix.BPF_MOV | unix.BPF_K
	opAndImm   = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	opShrImm   = unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K
	opJneImm   = unix.BPF_JMP | unix.BPF_JNE | unix.BPF_K
	opJne      = unix.BPF_JMP | unix.BPF_JNE | unix.BPF_X
	opJeqImm   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opExit     = unix.BPF_JMP | unix.BPF_EXIT
)

// program returns an eBPF program of type CGROUP_DEVICE: it looks at the rules from the last on, and allows what none is
// about. An access of two kinds needs one rule that allows both, as in v1.
func (rs Rules) program() []instruction {
	prog := []instruction{ // struct bpf_cgroup_dev_ctx: access<<16 | type, major, minor
		{opLoadWord, regType | regContext<<4, 0, 0},
		{opMov, regAccess | regType<<4, 0, 0},
		{opAndImm, regType, 0, 0xffff},
		{opShrImm, regAccess, 0, 16},
		{opLoadWord, regMajor | regContext<<4, 4, 0},
		{opLoadWord, regMinor | regContext<<4, 8, 0},
	}
	verdict := func(allow bool) []instruction {
		in := instruction{opMovImm, r0, 0, 0}
		if allow {
			in.imm = 1
		}
		return []instruction{in, {opExit, 0, 0, 0}}
	}
	for _, r := range slices.Backward(rs) {
		if r.all() {
			return append(prog, verdict(r.allow)...)
		}
		prog = append(prog, r.mismatch()...)
		prog = append(prog, verdict(r.allow)...)
	}
	return append(prog, verdict(true)...)
}

// mismatch returns instructions that skip themselves and the two of a verdict where r is not about the access.
func (r rule) mismatch() []instruction {
	var tests []instruction
	switch r.kind {
	case 'b':
		tests = append(tests, instruction{opJneImm, regType, 0, unix.BPF_DEVCG_DEV_BLOCK})
	case 'c':
		tests = append(tests, instruction{opJneImm, regType, 0, unix.BPF_DEVCG_DEV_CHAR})
	}
	var mask int32
	for i, letter := range "mrw" { // BPF_DEVCG_ACC_MKNOD, _READ, _WRITE
		if strings.ContainsRune(r.access, letter) {
			mask |= 1 << i
		}
	}
	if len(r.access) < 3 { // the context is not needed any more
		tests = append(tests, instruction{opMov, regContext | regAccess<<4, 0, 0}, instruction{opAndImm, regContext, 0, mask})
		if r.allow {
			tests = append(tests, instruction{opJne, regContext | regAccess<<4, 0, 0})
		} else {
			tests = append(tests, instruction{opJeqImm, regContext, 0, 0})
		}
	}
	if r.major >= 0 {
		tests = append(tests, instruction{opJneImm, regMajor, 0, int32(r.major)})
	}
	if r.minor >= 0 {
		tests = append(tests, instruction{opJneImm, regMinor, 0, int32(r.minor)})
	}
	for i := range tests {
		if tests[i].code&7 == unix.BPF_JMP {
			tests[i].offset = int16(len(tests) - i - 1 + 2)
		}
	}
	return tests
}

// AttachV2 makes the rules a program and attaches it to the v2 group dir, with which it goes.
func (rs Rules) AttachV2(dir string) error {
	group, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("restrict devices: open cgroup %s: %w", dir, err)
	}
	defer unix.Close(group)
	program, err := load(rs.program())
	if err != nil {
		return fmt.Errorf("restrict devices of cgroup %s: load BPF program: %w", dir, err)
	}
	defer unix.Close(program) // the group holds it now
	attr := struct{ target, program, kind, flags uint32 }{
		uint32(group), uint32(program), unix.BPF_CGROUP_DEVICE, unix.BPF_F_ALLOW_MULTI,
	}
	_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_ATTACH, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return fmt.Errorf("restrict devices of cgroup %s: attach BPF program: %w", dir, errno)
	}
	return nil
}

func load(prog []instruction) (int, error) {
	var code []byte
	for _, in := range prog {
		code = append(code, in.code, in.regs)
		code = binary.NativeEndian.AppendUint16(code, uint16(in.offset))
		code = binary.NativeEndian.AppendUint32(code, uint32(in.imm))
	}
	license := []byte("Apache-2.0\x00")
	var pin runtime.Pinner // the kernel finds them by numbers, which hold nothing
	defer pin.Unpin()
	pin.Pin(&code[0])
	pin.Pin(&license[0])
	attr := struct {
		kind, count   uint32
		code, license uint64
	}{
		unix.BPF_PROG_TYPE_CGROUP_DEVICE, uint32(len(prog)),
		uint64(uintptr(unsafe.Pointer(&code[0]))), uint64(uintptr(unsafe.Pointer(&license[0]))),
	}
	fd := -1
	err := withoutSignals(func() error {
		got, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
		if errno != 0 {
			return errno
		}
		fd = int(got)
		return nil
	})
	return fd, err
}

// withoutSignals calls f while the thread takes no signals. The kernel stops verifying a program, with EAGAIN, when one
// is pending, and Go's scheduler sends its own threads many.
func withoutSignals(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, old unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &old); err != nil {
		return fmt.Errorf("block signals: %w", err)
	}
	err := f()
	return errors.Join(err, unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil))
}
