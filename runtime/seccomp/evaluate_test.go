package seccomp

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// data is the kernel's struct seccomp_data without the instruction pointer.
type data struct {
	nr, arch uint32
	args     [6]uint64
}

func (d data) String() string { return fmt.Sprintf("arch %#x nr %#x args %#x", d.arch, d.nr, d.args) }

func (d data) load(offset uint32) (uint32, bool) {
	switch {
	case offset == 0:
		return d.nr, true
	case offset == 4:
		return d.arch, true
	case offset >= 16 && offset < 64 && offset%4 == 0:
		word := d.args[(offset-16)/8]
		if offset%8 == 4 {
			word >>= 32
		}
		return uint32(word), true
	}
	return 0, false
}

// run executes a filter as the kernel does. steps counts instructions; args says that the filter looked at arguments.
func run(prog []Instruction, d data) (ret uint32, steps int, args bool, err error) {
	var acc uint32
	for pc := 0; pc < len(prog); pc++ {
		in := prog[pc]
		steps++
		taken := false
		switch in.Code {
		case opLoad:
			v, ok := d.load(in.K)
			if !ok {
				return 0, 0, false, fmt.Errorf("instruction %d loads from %d", pc, in.K)
			}
			acc, args = v, args || in.K >= offsetArgs
			continue
		case opAnd:
			acc &= in.K
			continue
		case opRet:
			return in.K, steps, args, nil
		case opJump:
			pc += int(in.K)
			continue
		case opJeq:
			taken = acc == in.K
		case opJge:
			taken = acc >= in.K
		case opJgt:
			taken = acc > in.K
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K: // only runc's have it
			taken = acc&in.K != 0
		default:
			return 0, 0, false, fmt.Errorf("instruction %d is %#x", pc, in.Code)
		}
		if taken {
			pc += int(in.Jt)
		} else {
			pc += int(in.Jf)
		}
	}
	return 0, 0, false, fmt.Errorf("ran off the end")
}

// model is the meaning of a profile, worked out call by call, with no thought of speed.
type model struct {
	profile *specs.LinuxSeccomp
	archs   []arch
	names   map[specs.Arch]map[uint32]string // without the ABI's bit
	newest  map[specs.Arch]uint32
}

func newModel(t testing.TB, goarch string, p *specs.LinuxSeccomp) *model {
	t.Helper()
	m := &model{profile: p, names: map[specs.Arch]map[uint32]string{}, newest: map[specs.Arch]uint32{}}
	all, err := family(goarch)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range all {
		if i > 0 && !slices.Contains(p.Architectures, a.name) {
			continue
		}
		m.archs = append(m.archs, a)
		m.names[a.name] = map[uint32]string{}
		for nr, name := range a.calls() {
			m.names[a.name][nr] = name
			for _, call := range p.Syscalls {
				if slices.ContainsFunc(call.Names, func(n string) bool { return aka(n) == name }) && nr < 0xf0000 {
					m.newest[a.name] = max(m.newest[a.name], nr)
				}
			}
		}
	}
	return m
}

// aka returns the name under which the tables hold name.
func aka(name string) string {
	if name == "sync_file_range2" {
		return "arm_sync_file_range"
	}
	return name
}

func (m *model) result(d data) uint32 {
	i := slices.IndexFunc(m.archs, func(a arch) bool {
		return a.audit == d.arch && (a.audit != unix.AUDIT_ARCH_X86_64 || d.nr >= x32Bit == (a.bit == x32Bit))
	})
	if i < 0 && d.arch == m.archs[0].audit && d.nr == ^uint32(0) {
		return m.code(m.profile.DefaultAction, m.profile.DefaultErrnoRet)
	}
	if i < 0 {
		return unix.SECCOMP_RET_KILL_THREAD
	}
	a := m.archs[i]
	nr := d.nr - a.bit
	newest, listed := m.newest[a.name]
	private := a.name == specs.ArchARM && nr >= 0xf0000
	if stubbed(m.profile) && listed && nr > newest && !private {
		return unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	}
	return m.decide(a, m.names[a.name][nr], d)
}

// line is one rule that bears on a call.
type line struct {
	ret  uint32
	args []specs.LinuxSeccompArg
}

func (m *model) decide(a arch, name string, d data) uint32 {
	def := m.code(m.profile.DefaultAction, m.profile.DefaultErrnoRet)
	var lines []line
	for _, call := range m.profile.Syscalls {
		ret := m.code(call.Action, call.ErrnoRet)
		for _, n := range call.Names {
			switch {
			case ret == def || name == "":
			case aka(n) == name:
				lines = append(lines, line{ret, call.Args})
			case a.mux && (name == "socketcall" || name == "ipc"):
				if which, ok := behindI386(name)[n]; ok {
					arg := specs.LinuxSeccompArg{Index: 0, Value: which, Op: specs.OpEqualTo}
					lines = append(lines, line{ret, []specs.LinuxSeccompArg{arg}})
				}
			}
		}
	}
	for _, l := range lines {
		if len(l.args) == 0 {
			return l.ret
		}
	}
	for _, l := range lines {
		if holds(a, name, l.args, d) {
			return l.ret
		}
	}
	return def
}

func behindI386(name string) map[string]uint64 {
	if name == "ipc" {
		return map[string]uint64{
			"semop": 1, "semget": 2, "semctl": 3, "semtimedop": 4, "msgsnd": 11, "msgrcv": 12, "msgget": 13,
			"msgctl": 14, "shmat": 21, "shmdt": 22, "shmget": 23, "shmctl": 24,
		}
	}
	return map[string]uint64{
		"socket": 1, "bind": 2, "connect": 3, "listen": 4, "accept": 5, "getsockname": 6, "getpeername": 7,
		"socketpair": 8, "send": 9, "recv": 10, "sendto": 11, "recvfrom": 12, "shutdown": 13, "setsockopt": 14,
		"getsockopt": 15, "sendmsg": 16, "recvmsg": 17, "accept4": 18, "recvmmsg": 19, "sendmmsg": 20,
	}
}

func holds(a arch, name string, args []specs.LinuxSeccompArg, d data) bool {
	seen := map[uint]bool{}
	repeated, all, some := false, true, false
	for _, c := range args {
		repeated = repeated || seen[c.Index]
		seen[c.Index] = true
		got, want, two := d.args[c.Index], c.Value, c.ValueTwo
		if a.narrow || isInt(name, c.Index) {
			got, want, two = got&0xffffffff, want&0xffffffff, two&0xffffffff
		}
		is := map[specs.LinuxSeccompOperator]bool{
			specs.OpEqualTo: got == want, specs.OpNotEqual: got != want, specs.OpLessThan: got < want,
			specs.OpLessEqual: got <= want, specs.OpGreaterThan: got > want, specs.OpGreaterEqual: got >= want,
			specs.OpMaskedEqual: got&want == two&want,
		}[c.Op]
		all, some = all && is, some || is
	}
	return all || repeated && some
}

func (m *model) code(action specs.LinuxSeccompAction, errno *uint) uint32 {
	base := map[specs.LinuxSeccompAction]uint32{
		specs.ActKill: 0, specs.ActKillThread: 0, specs.ActKillProcess: 0x80000000, specs.ActTrap: 0x30000,
		specs.ActErrno: 0x50001, specs.ActTrace: 0x7ff00001, specs.ActLog: 0x7ffc0000, specs.ActAllow: 0x7fff0000,
	}[action]
	if errno != nil {
		base = base&^0xffff | uint32(*errno)
	}
	return base
}

// inputs yields calls worth trying: every number near those that exist in every ABI of the family and some beyond,
// each with arguments around every value that the profile's rules for it compare with.
func (m *model) inputs(goarch string, visit func(data)) {
	archs := []uint32{unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_I386}
	if goarch == "arm64" {
		archs = []uint32{unix.AUDIT_ARCH_AARCH64, unix.AUDIT_ARCH_ARM}
	}
	numbers := []uint32{x32Bit - 1, ^uint32(0), ^uint32(0) - 1, 0x80000000, x32Bit + 9999, 9999, 0xeffff}
	for nr := range uint32(600) {
		numbers = append(numbers, nr, x32Bit+nr)
	}
	for nr := range uint32(9) {
		numbers = append(numbers, 0xf0000+nr)
	}
	for _, audit := range archs {
		for _, nr := range numbers {
			for args := range m.arguments(audit, nr) {
				visit(data{nr: nr, arch: audit, args: args})
			}
		}
	}
	for nr := range uint32(500) {
		visit(data{nr: nr, arch: unix.AUDIT_ARCH_MIPS64})
	}
}

// arguments returns the arguments to try with a number.
func (m *model) arguments(audit, nr uint32) map[[6]uint64]bool {
	all := ^uint64(0)
	tried := map[[6]uint64]bool{{}: true, {all, all, all, all, all, all}: true, {1, 1, 1, 1, 1, 1}: true}
	var name string
	for _, a := range m.archs {
		if a.audit == audit && nr&x32Bit == a.bit {
			name = m.names[a.name][nr&^a.bit]
		}
	}
	if name == "socketcall" || name == "ipc" {
		for which := range uint64(30) {
			tried[[6]uint64{which}] = true
			tried[[6]uint64{which | 1<<32}] = true
		}
	}
	for _, call := range m.profile.Syscalls {
		if !slices.ContainsFunc(call.Names, func(n string) bool { return aka(n) == name }) {
			continue
		}
		var exact [6]uint64
		for _, c := range call.Args {
			exact[c.Index] = c.Value
			if c.Op == specs.OpMaskedEqual {
				exact[c.Index] = c.ValueTwo
			}
		}
		for _, c := range call.Args {
			for _, v := range []uint64{
				c.Value - 1, c.Value, c.Value + 1, c.Value | 1<<32, c.Value ^ 1<<63, c.Value << 32,
				^c.Value, c.ValueTwo, c.ValueTwo | ^c.Value, 0, all,
			} {
				args := exact
				args[c.Index] = v
				tried[args] = true
			}
		}
	}
	return tried
}

// agree fails when prog does not do what the profile means.
func agree(t *testing.T, goarch string, p *specs.LinuxSeccomp, prog []Instruction) {
	t.Helper()
	m := newModel(t, goarch, p)
	wrong, tried := 0, 0
	m.inputs(goarch, func(d data) {
		tried++
		got, _, _, err := run(prog, d)
		if want := m.result(d); (err != nil || got != want) && wrong < 10 {
			wrong++
			t.Errorf("%v: got %#x, %v; want %#x", d, got, err, want)
		}
	})
	t.Logf("%d instructions, %d calls", len(prog), tried)
}

// listing returns prog in words, for failures.
func listing(prog []Instruction) string {
	var b strings.Builder
	for i, in := range prog {
		fmt.Fprintf(&b, "%4d: %#04x %3d %3d %#x\n", i, in.Code, in.Jt, in.Jf, in.K)
	}
	return b.String()
}
