package seccomp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestDefaultFollowsCapabilities(t *testing.T) {
	rules := func(name string, caps ...string) int {
		p, err := Default(caps)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, call := range p.Syscalls {
			if slices.Contains(call.Names, name) && call.Action == specs.ActAllow && len(call.Args) == 0 {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		name string
		caps []string
		want int
	}{
		{"mount", nil, 0},
		{"mount", []string{"CAP_SYS_ADMIN"}, 1},
		{"clone", nil, 0},
		{"clone", []string{"CAP_SYS_ADMIN"}, 1},
		{"chroot", nil, 0},
		{"chroot", []string{"CAP_CHOWN", "CAP_SYS_CHROOT"}, 1},
		{"ptrace", nil, 1}, // any kernel since 4.8
		{"read", nil, 1},
		{"bpf", []string{"CAP_SYS_ADMIN", "CAP_BPF"}, 2},
	} {
		if got := rules(c.name, c.caps...); got != c.want {
			t.Errorf("%s with %v: %d rules, want %d", c.name, c.caps, got, c.want)
		}
	}
}

func TestDefaultArchitectures(t *testing.T) {
	p, err := Default(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]specs.Arch{
		"amd64": {specs.ArchX86_64, specs.ArchX86, specs.ArchX32},
		"arm64": {specs.ArchAARCH64, specs.ArchARM},
	}[runtime.GOARCH]
	if !slices.Equal(p.Architectures, want) {
		t.Errorf("got %v, want %v", p.Architectures, want)
	}
	if p.DefaultAction != specs.ActErrno || *p.DefaultErrnoRet != uint(unix.EPERM) {
		t.Errorf("default action %v %v", p.DefaultAction, p.DefaultErrnoRet)
	}
}

func TestDefaultIsTheCallers(t *testing.T) {
	first, err := Default(nil)
	if err != nil {
		t.Fatal(err)
	}
	first.Syscalls[0].Names[0] = "changed"
	second, err := Default(nil)
	if err != nil || second.Syscalls[0].Names[0] == "changed" {
		t.Errorf("two profiles share their names: %v", err)
	}
}

func TestFlags(t *testing.T) {
	for name, c := range map[string]struct {
		flags []specs.LinuxSeccompFlag
		want  uint32
		is    error
	}{
		"none given": {nil, unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, nil},
		"empty":      {[]specs.LinuxSeccompFlag{}, 0, nil},
		"both": {
			[]specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow},
			unix.SECCOMP_FILTER_FLAG_LOG | unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, nil,
		},
		"listener": {[]specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv}, 0, errdefs.ErrNotImplemented},
		"tsync":    {[]specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_TSYNC", specs.LinuxSeccompFlagLog}, unix.SECCOMP_FILTER_FLAG_LOG, nil},
		"unknown":  {[]specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_NEW_LISTENER"}, 0, errdefs.ErrInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Flags(&specs.LinuxSeccomp{Flags: c.flags})
			if got != c.want || !errors.Is(err, c.is) {
				t.Errorf("got %#x, %v; want %#x, %v", got, err, c.want, c.is)
			}
		})
	}
}

func TestBytesAreSockFilters(t *testing.T) {
	prog := []Instruction{{Code: 0x20, K: 4}, {Code: 0x15, Jt: 1, Jf: 2, K: 0xc000003e}, {Code: 6, K: 0x7fff0000}}
	got := Bytes(prog)
	var want bytes.Buffer
	for _, in := range prog {
		f := unix.SockFilter{Code: in.Code, Jt: in.Jt, Jf: in.Jf, K: in.K}
		if err := binary.Write(&want, binary.NativeEndian, f); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, want.Bytes()) || len(got) != 8*len(prog) {
		t.Errorf("got %x, want %x", got, want.Bytes())
	}
}

// FuzzCompile compiles profiles that bytes choose: the program must be one that the kernel takes, and do what the
// profile means.
func FuzzCompile(f *testing.F) {
	f.Add([]byte{}, uint8(0), uint64(5))
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, uint8(1), uint64(1))
	f.Add([]byte{0x53, 0, 1, 1, 0, 0x53, 0, 1, 1, 0x60, 0x53, 3, 2, 1, 0x66, 0x18, 2, 2, 6, 0x20}, uint8(2), uint64(7))
	f.Fuzz(func(t *testing.T, text []byte, nr uint8, value uint64) {
		p := chosen(text, value)
		for _, goarch := range []string{"amd64", "arm64"} {
			prog, err := compile(goarch, p)
			if err != nil {
				if !errors.Is(err, errdefs.ErrInvalidArgument) {
					t.Fatal(err)
				}
				continue
			}
			check(t, prog)
			m := newModel(t, goarch, p)
			for _, d := range few(m, goarch, uint32(nr), value) {
				got, _, _, err := run(prog, d)
				if want := m.result(d); err != nil || got != want {
					t.Fatalf("%v: got %#x, %v; want %#x\n%+v\n%s", d, got, err, want, p, listing(prog))
				}
			}
		}
	})
}

// chosen makes a profile out of bytes.
func chosen(text []byte, value uint64) *specs.LinuxSeccomp {
	text = text[:min(len(text), 300)]
	next := func() int {
		if len(text) == 0 {
			return 0
		}
		b := text[0]
		text = text[1:]
		return int(b)
	}
	actions := []specs.LinuxSeccompAction{specs.ActErrno, specs.ActAllow, specs.ActKillProcess, specs.ActTrap, specs.ActLog}
	ops := []specs.LinuxSeccompOperator{
		specs.OpEqualTo, specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpGreaterThan, specs.OpGreaterEqual,
		specs.OpMaskedEqual,
	}
	names := []string{
		"read", "write", "open", "ioctl", "socket", "socketcall", "semop", "ipc", "breakpoint", "removexattrat", "execve",
		"sync_file_range2", "arm_sync_file_range", "clone", "openat", "getpid",
	}
	values := []uint64{0, 1, value, value >> 32, value << 32, 1 << 32, ^uint64(0), 0xffffffff}
	archs := listed()
	flags := next()
	p := &specs.LinuxSeccomp{DefaultAction: actions[flags%5], Architectures: archs[:flags/5%len(archs)]}
	for len(text) > 0 {
		b := next()
		c := specs.LinuxSyscall{Names: []string{names[b%16], names[(b+b/16)%16]}, Action: actions[next()%5]}
		for range next() % 4 {
			b := next()
			c.Args = append(c.Args, arg(uint(b/64), ops[b%7], values[next()%8], values[next()%8]))
		}
		p.Syscalls = append(p.Syscalls, c)
	}
	return p
}

// few returns calls that the profiles of chosen care about.
func few(m *model, goarch string, nr uint32, value uint64) []data {
	numbers := []uint32{nr, ^uint32(0), 9999, 0xf0001, 102, 117, 466, 467}
	for _, a := range m.archs {
		for n, name := range m.names[a.name] {
			if name == "read" || name == "ioctl" || name == "socket" || name == "arm_sync_file_range" {
				numbers = append(numbers, a.bit|n)
			}
		}
	}
	var list []data
	for _, audit := range []uint32{
		unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_AARCH64, unix.AUDIT_ARCH_ARM,
	} {
		for _, n := range numbers {
			for _, v := range []uint64{0, 1, value, value >> 32, value << 32, 1 << 32, ^uint64(0)} {
				list = append(list, data{nr: n, arch: audit, args: [6]uint64{v, v, v, value, 1, 0}})
			}
		}
	}
	return list
}

// check does what the kernel's bpf_check_classic and seccomp_check_filter do.
func check(t *testing.T, prog []Instruction) {
	t.Helper()
	if len(prog) == 0 || len(prog) > unix.BPF_MAXINSNS || prog[len(prog)-1].Code != opRet {
		t.Fatalf("%d instructions, or no end", len(prog))
	}
	for i, in := range prog {
		rest := uint32(len(prog) - i - 1)
		switch in.Code {
		case opLoad:
			if in.K%4 != 0 || in.K >= 64 {
				t.Fatalf("%d: load from %d", i, in.K)
			}
		case opJump:
			if in.K >= rest {
				t.Fatalf("%d: jump out", i)
			}
		case opJeq, opJge, opJgt:
			if uint32(in.Jt) >= rest || uint32(in.Jf) >= rest {
				t.Fatalf("%d: jump out", i)
			}
		case opRet, opAnd:
		default:
			t.Fatalf("%d: code %#x", i, in.Code)
		}
	}
}

func ExampleCompile() {
	profile, err := Default([]string{"CAP_CHOWN", "CAP_KILL"})
	if err != nil {
		fmt.Println(err)
		return
	}
	program, err := Compile(profile)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(Bytes(program)) == 8*len(program))
	// Output: true
}
