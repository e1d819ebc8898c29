package seccomp

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

//go:generate go run ./internal/gen

// x32Bit marks the system call numbers of the x32 ABI, which the kernel reports as x86_64.
const x32Bit = 0x40000000

// known are the architectures that the runtime specification names.
const known = " X86 X86_64 X32 ARM AARCH64 MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE S390 S390X " +
	"PARISC PARISC64 RISCV64 LOONGARCH64 M68K SH SHEB "

// arch is one ABI that a kernel offers.
type arch struct {
	name   specs.Arch
	audit  uint32 // what the kernel reports in seccomp_data.arch
	table  string
	bit    uint32 // set in every number
	narrow bool   // arguments have 32 bits
	mux    bool   // has socketcall and ipc
}

// family returns the ABIs of a kernel for goarch, its own first.
func family(goarch string) ([]arch, error) {
	switch goarch {
	case "amd64":
		return []arch{
			{name: specs.ArchX86_64, audit: unix.AUDIT_ARCH_X86_64, table: tableX8664},
			{name: specs.ArchX86, audit: unix.AUDIT_ARCH_I386, table: tableX86, narrow: true, mux: true},
			{name: specs.ArchX32, audit: unix.AUDIT_ARCH_X86_64, table: tableX32, bit: x32Bit, narrow: true},
		}, nil
	case "arm64":
		return []arch{
			{name: specs.ArchAARCH64, audit: unix.AUDIT_ARCH_AARCH64, table: tableAARCH64},
			{name: specs.ArchARM, audit: unix.AUDIT_ARCH_ARM, table: tableARM, narrow: true},
		}, nil
	}
	return nil, fmt.Errorf("seccomp on %s: %w", goarch, errdefs.ErrNotImplemented)
}

// choose returns the ABIs of all that a profile listing names covers: the first, always, as with libseccomp, and the
// listed ones. An ABI of another family cannot call this kernel and is left out.
func choose(all []arch, names []specs.Arch) ([]arch, error) {
	for _, n := range names {
		if short, ok := strings.CutPrefix(string(n), "SCMP_ARCH_"); !ok || !strings.Contains(known, " "+short+" ") {
			return nil, fmt.Errorf("unknown seccomp architecture %q: %w", n, errdefs.ErrInvalidArgument)
		}
	}
	chosen := []arch{all[0]}
	for _, a := range all[1:] {
		if slices.Contains(names, a.name) {
			chosen = append(chosen, a)
		}
	}
	return chosen, nil
}

// calls yields number (without the ABI's bit) and name of every system call in ascending order of numbers.
func (a arch) calls() iter.Seq2[uint32, string] {
	return func(yield func(uint32, string) bool) {
		var nr uint32
		for word := range strings.SplitSeq(a.table, " ") {
			if word[0] <= '9' {
				n, err := strconv.ParseUint(word, 10, 32)
				if err != nil {
					panic("system call table: " + err.Error())
				}
				nr = uint32(n)
				continue
			}
			if !yield(nr, word) {
				return
			}
			nr++
		}
	}
}

// alias returns the second name of a call, which the kernel's headers define and profiles use, or nothing.
func alias(name string) string {
	if name == "arm_sync_file_range" {
		return "sync_file_range2"
	}
	return ""
}

// multiplexed names the calls behind one number of i386, with the number of each in the first argument
// (include/uapi/linux/net.h and ipc.h), in the form of the tables.
func multiplexed(name string) string {
	switch name {
	case "socketcall":
		return "1 socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom " +
			"shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg"
	case "ipc":
		return "1 semop semget semctl semtimedop 11 msgsnd msgrcv msgget msgctl 21 shmat shmdt shmget shmctl"
	}
	return ""
}

// isInt says whether the kernel takes argument index of a call as an int and so ignores its upper half, which a
// 64-bit comparison would let a caller use to slip through (socket(1<<32|AF_VSOCK) is a socket of AF_VSOCK).
func isInt(name string, index uint) bool {
	switch name {
	case "socket", "socketpair":
		return index <= 2
	case "ioctl", "fcntl":
		return index <= 1
	case "prctl", "personality", "keyctl", "bpf":
		return index == 0
	}
	return false
}
