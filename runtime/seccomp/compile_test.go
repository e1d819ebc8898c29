package seccomp

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestProgramsDoWhatProfilesMean(t *testing.T) {
	for name, p := range profiles(t) {
		for _, goarch := range []string{"amd64", "arm64"} {
			t.Run(name+"/"+goarch, func(t *testing.T) {
				prog, err := compile(goarch, p)
				if err != nil {
					t.Fatal(err)
				}
				agree(t, goarch, p, prog)
			})
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	allow := func(args ...specs.LinuxSeccompArg) []specs.LinuxSyscall {
		return []specs.LinuxSyscall{call(specs.ActAllow, []string{"read"}, args...)}
	}
	tooLong := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno}
	for i := range uint64(3000) {
		tooLong.Syscalls = append(tooLong.Syscalls, allow(arg(0, specs.OpEqualTo, i))...)
	}
	for name, c := range map[string]struct {
		p    *specs.LinuxSeccomp
		is   error
		says string
	}{
		"no action":        {&specs.LinuxSeccomp{}, errdefs.ErrInvalidArgument, `action ""`},
		"unknown action":   {&specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_X"}, errdefs.ErrInvalidArgument, "SCMP_ACT_X"},
		"default notify":   {&specs.LinuxSeccomp{DefaultAction: specs.ActNotify}, errdefs.ErrNotImplemented, "NOTIFY"},
		"errno of allow":   {&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, DefaultErrnoRet: new(uint(1))}, errdefs.ErrInvalidArgument, "errnoRet"},
		"errno too large":  {&specs.LinuxSeccomp{DefaultAction: specs.ActErrno, DefaultErrnoRet: new(uint(4096))}, errdefs.ErrInvalidArgument, "4096"},
		"errno far larger": {&specs.LinuxSeccomp{DefaultAction: specs.ActErrno, DefaultErrnoRet: new(uint(1 << 40))}, errdefs.ErrInvalidArgument, "errnoRet"},
		"trace too large":  {&specs.LinuxSeccomp{DefaultAction: specs.ActTrace, DefaultErrnoRet: new(uint(65536))}, errdefs.ErrInvalidArgument, "65536"},
		"architecture":     {&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{"SCMP_ARCH_VAX"}}, errdefs.ErrInvalidArgument, "VAX"},
		"lower case":       {&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{"x86"}}, errdefs.ErrInvalidArgument, "x86"},
		"listener":         {&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: "/x"}, errdefs.ErrNotImplemented, "listener"},
		"metadata":         {&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerMetadata: "x"}, errdefs.ErrNotImplemented, "listener"},
		"rule action":      {&specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{call("x", []string{"read"})}}, errdefs.ErrInvalidArgument, `rule 0 for ["read"]`},
		"rule notify":      {&specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{call(specs.ActNotify, []string{"read"})}}, errdefs.ErrNotImplemented, "NOTIFY"},
		"operator":         {&specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: allow(arg(0, "SCMP_CMP_X", 1))}, errdefs.ErrInvalidArgument, "SCMP_CMP_X"},
		"argument 6":       {&specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: allow(arg(6, specs.OpEqualTo, 1))}, errdefs.ErrInvalidArgument, "argument 6"},
		"too long":         {tooLong, errdefs.ErrInvalidArgument, "more than 4096"},
	} {
		t.Run(name, func(t *testing.T) {
			prog, err := Compile(c.p)
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %d instructions, %v; want %v naming %q", len(prog), err, c.is, c.says)
			}
		})
	}
	t.Run("machine", func(t *testing.T) {
		if _, err := compile("riscv64", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}); !errors.Is(err, errdefs.ErrNotImplemented) {
			t.Errorf("got %v", err)
		}
	})
}

// The kernel answers from a bitmap what a filter allows without a look at the arguments, but only if it can tell.
func TestUnconditionalCallsLoadNoArgument(t *testing.T) {
	p, err := Default(nil)
	if err != nil {
		t.Fatal(err)
	}
	prog, err := compile("amd64", p)
	if err != nil {
		t.Fatal(err)
	}
	for nr, name := range (arch{table: tableX8664}).calls() {
		_, steps, args, err := run(prog, data{nr: nr, arch: unix.AUDIT_ARCH_X86_64})
		conditional := name == "socket" || name == "personality" || name == "clone"
		if err != nil || args != conditional || steps > 24 {
			t.Errorf("%s: %d steps, arguments looked at %v, %v", name, steps, args, err)
		}
	}
}

// A conditional jump reaches 255 instructions; beyond, something must carry it: a copy of a return, or a jump.
func TestJumpsReachAnywhere(t *testing.T) {
	for pad := range 300 {
		for _, between := range []int{0, 1, 300} {
			p := &program{rets: map[uint32]int{}}
			p.emit(opRet, 1)
			yes := p.emit(opAnd, 0)
			for range between {
				p.emit(opRet, 99)
			}
			no := p.emit(opRet, 2)
			for range pad {
				p.emit(opRet, 99)
			}
			far := p.before(p.branch(opJeq, 7, yes, no), opLoad, offsetNr)
			near := p.before(p.branch(opJeq, 107, no, yes), opLoad, offsetNr)
			p.before(p.branch(opJge, 100, near, far), opLoad, offsetNr)
			slices.Reverse(p.rev)
			check(t, p.rev)
			for nr, want := range map[uint32]uint32{7: 1, 9: 2, 100: 1, 107: 2} {
				if ret, _, _, err := run(p.rev, data{nr: nr}); err != nil || ret != want {
					t.Fatalf("%d, %d between: %d gives %d, %v; want %d\n%s", pad, between, nr, ret, err, want, listing(p.rev))
				}
			}
		}
	}
}

func TestDefaultStaysSmall(t *testing.T) {
	p, err := Default(nil)
	if err != nil {
		t.Fatal(err)
	}
	for goarch, limit := range map[string]int{"amd64": 360, "arm64": 260} {
		if goarch == "arm64" {
			p.Architectures = []specs.Arch{specs.ArchAARCH64, specs.ArchARM}
		}
		prog, err := compile(goarch, p)
		if err != nil || len(prog) > limit {
			t.Errorf("%s: %d instructions, %v", goarch, len(prog), err)
		}
	}
}

func TestCompileLeavesProfileAlone(t *testing.T) {
	p := several()
	first, err := Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Compile(p)
	if err != nil || listing(first) != listing(second) {
		t.Errorf("compiling again gives another program: %v", err)
	}
}

func BenchmarkDefault(b *testing.B) {
	for b.Loop() {
		if _, err := Default(nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	p, err := Default(nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Compile(p); err != nil {
			b.Fatal(err)
		}
	}
}
