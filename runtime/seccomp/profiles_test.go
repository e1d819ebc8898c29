package seccomp

import (
	"fmt"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func arg(index uint, op specs.LinuxSeccompOperator, values ...uint64) specs.LinuxSeccompArg {
	a := specs.LinuxSeccompArg{Index: index, Op: op, Value: values[0]}
	if len(values) > 1 {
		a.ValueTwo = values[1]
	}
	return a
}

func call(action specs.LinuxSeccompAction, names []string, args ...specs.LinuxSeccompArg) specs.LinuxSyscall {
	return specs.LinuxSyscall{Names: names, Action: action, Args: args}
}

// listed are all architectures of both families, and one of none.
func listed() []specs.Arch {
	return []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32, specs.ArchAARCH64, specs.ArchARM, specs.ArchMIPS64}
}

// operators has every operator on every half of an argument, over every action.
func operators() *specs.LinuxSeccomp {
	p := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: listed()}
	ops := []specs.LinuxSeccompOperator{
		specs.OpEqualTo, specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpGreaterThan, specs.OpGreaterEqual,
	}
	values := []uint64{0, 5, 0xffffffff, 1 << 32, 5<<32 | 7, ^uint64(0)}
	names := []string{
		"read", "write", "close", "lseek", "munmap", "dup", "getpid", "exit", "kill", "uname", "fsync", "getcwd",
		"chdir", "ptrace", "sync", "acct", "mount", "reboot", "quotactl", "futex", "capget", "umask", "prctl", "setns",
		"splice", "tee", "sysinfo", "times", "getppid", "setsid", "personality", "mremap", "msync", "mincore", "madvise",
		"gettid",
	}
	for i, name := range names {
		op, value := ops[i%len(ops)], values[i/len(ops)]
		p.Syscalls = append(p.Syscalls, call(specs.ActAllow, []string{name}, arg(uint(i%6), op, value)))
	}
	for i, mask := range []uint64{0, 0xff, 0xff << 32, 0xff<<32 | 0xf0, ^uint64(0)} {
		p.Syscalls = append(p.Syscalls, call(specs.ActAllow, []string{[]string{
			"flock", "fchdir", "fdatasync", "pipe2", "dup3",
		}[i]}, arg(1, specs.OpMaskedEqual, mask, 0x12<<32|0x34)))
	}
	return p
}

// several has calls with many rules, of several arguments and of several actions.
func several() *specs.LinuxSeccomp {
	kill := call(specs.ActKillProcess, []string{"ioctl"}, arg(1, specs.OpEqualTo, 0x5412))
	return &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno, DefaultErrnoRet: new(uint(13)), Architectures: listed(),
		Syscalls: []specs.LinuxSyscall{
			call(specs.ActAllow, []string{"clone"}, arg(0, specs.OpMaskedEqual, 0x7e020000, 0), arg(1, specs.OpEqualTo, 0)),
			call(specs.ActLog, []string{"clone"}, arg(2, specs.OpGreaterThan, 1<<40)),
			{Names: []string{"clone"}, Action: specs.ActErrno, ErrnoRet: new(uint(0)), Args: []specs.LinuxSeccompArg{
				arg(3, specs.OpNotEqual, 4), arg(4, specs.OpLessThan, 1<<33), arg(5, specs.OpGreaterEqual, 9),
			}},
			kill,
			call(specs.ActAllow, []string{"ioctl"}, arg(1, specs.OpGreaterThan, 5), arg(0, specs.OpLessEqual, 2)),
			call(specs.ActTrap, []string{"ioctl"}, arg(1, specs.OpLessThan, 3)),
			call(specs.ActAllow, []string{"mmap"}, arg(2, specs.OpEqualTo, 1), arg(2, specs.OpEqualTo, 2)), // or
			call(specs.ActKill, []string{"open", "openat"}),
			call(specs.ActAllow, []string{"open", "openat"}), // too late
			call(specs.ActAllow, []string{"read"}, arg(0, specs.OpEqualTo, 7)),
			call(specs.ActKillThread, []string{"read"}), // for all
			call(specs.ActErrno, []string{"write"}, arg(0, specs.OpEqualTo, 7)),
			{
				Names: []string{"write", "no_such_call", "breakpoint"}, Action: specs.ActTrace, ErrnoRet: new(uint(77)),
			},
			{Names: []string{"chmod"}, Action: specs.ActErrno, ErrnoRet: new(uint(13))}, // as the default
			call(specs.ActAllow, []string{"arm_fadvise64_64", "set_tls"}),
			call(specs.ActLog, []string{"sync_file_range2"}, arg(0, specs.OpLessThan, 20)),
			call(specs.ActAllow, []string{"socket", "accept", "semop", "shmget"}, arg(0, specs.OpEqualTo, 2)),
			call(specs.ActLog, []string{"recvmsg", "sendto", "msgsnd"}),
			call(specs.ActTrap, []string{"socketcall", "arm_sync_file_range"}, arg(0, specs.OpLessThan, 30)), // after socket
			call(specs.ActLog, []string{"umask", "gettid"}, arg(0, specs.OpEqualTo, 1)),
			{Names: []string{"umask"}, Action: specs.ActErrno, ErrnoRet: new(uint(13))},
			{Names: []string{"getcpu"}, Action: specs.ActErrno, ErrnoRet: new(uint(13)), Args: []specs.LinuxSeccompArg{
				arg(0, specs.OpEqualTo, 1), // as the default: says nothing
			}},
			call(specs.ActAllow, []string{"getcpu"}, arg(0, specs.OpLessEqual, 1)),
			call(specs.ActTrap, []string{"sendmsg"}),
			call(specs.ActAllow, []string{"ipc"}, arg(0, specs.OpEqualTo, 11)), // before what follows
			call(specs.ActKill, []string{"semtimedop", "msgsnd"}),
		},
	}
}

// denying allows all but a few calls.
func denying() *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchARM},
		Syscalls: []specs.LinuxSyscall{
			call(specs.ActErrno, []string{"ptrace", "kexec_load", "reboot", "cacheflush"}),
			call(specs.ActErrno, []string{"socket"}, arg(0, specs.OpEqualTo, 38)),
			call(specs.ActErrno, []string{"shmctl"}),
			call(specs.ActKillProcess, []string{"ioctl"}, arg(1, specs.OpEqualTo, 0x5412)),
			call(specs.ActErrno, []string{"lseek"}, arg(1, specs.OpNotEqual, ^uint64(0))),
		},
	}
}

// long needs far more instructions than a conditional jump can skip.
func long() *specs.LinuxSeccomp {
	p := &specs.LinuxSeccomp{DefaultAction: specs.ActKillProcess, Architectures: listed()}
	for i, name := range []string{"read", "open", "fstat", "mmap", "brk", "ioctl", "readv", "pipe", "dup", "getpid"} {
		for j := range uint64(18) {
			p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{
				Names: []string{name}, Action: specs.ActErrno, ErrnoRet: new(uint(i)*100 + uint(j)),
				Args: []specs.LinuxSeccompArg{arg(0, specs.OpEqualTo, j<<33|1), arg(1, specs.OpGreaterThan, j)},
			})
		}
	}
	return p
}

// profiles returns profiles that together use everything that a profile can say.
func profiles(t testing.TB) map[string]*specs.LinuxSeccomp {
	t.Helper()
	all := map[string]*specs.LinuxSeccomp{
		"operators": operators(),
		"several":   several(),
		"denying":   denying(),
		"long":      long(),
		"empty":     {DefaultAction: specs.ActErrno},
		"nothing":   {DefaultAction: specs.ActErrno, Architectures: listed()},
		"collapsed": {DefaultAction: specs.ActErrno, Architectures: listed(), Syscalls: []specs.LinuxSyscall{
			call(specs.ActAllow, []string{"read", "write", "open"}, arg(0, specs.OpMaskedEqual, 0xff, 1), arg(1, specs.OpGreaterThan, 7)),
			call(specs.ActAllow, []string{"read"}, arg(1, specs.OpMaskedEqual, 0, 0)), // always
			call(specs.ActAllow, []string{"write"}, arg(1, specs.OpMaskedEqual, 0xff<<32, 0)),
		}},
		"kill": {DefaultAction: specs.ActKillProcess, Syscalls: []specs.LinuxSyscall{call(specs.ActAllow, []string{"exit"})}},
		"nosys": {DefaultAction: specs.ActErrno, DefaultErrnoRet: new(uint(38)), Syscalls: []specs.LinuxSyscall{
			call(specs.ActAllow, []string{"exit", "getpid"}),
		}},
		"trace": {DefaultAction: specs.ActTrace, Architectures: []specs.Arch{specs.ArchX86}, Syscalls: []specs.LinuxSyscall{
			call(specs.ActAllow, []string{"exit", "getpid"}),
		}},
	}
	for i, caps := range [][]string{nil, {"CAP_SYS_ADMIN"}, {"CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_BPF", "CAP_SYS_TIME"}} {
		p, err := Default(caps)
		if err != nil {
			t.Fatal(err)
		}
		all[fmt.Sprintf("default%d", i)] = p
		both := *p
		both.Architectures = listed()
		all[fmt.Sprintf("default%d-all", i)] = &both
	}
	return all
}
