// Package seccomp compiles the seccomp profiles of the OCI runtime specification to the classic BPF programs that
// the kernel runs, in pure Go, and knows Docker's default profile.
//
// It loads nothing: the container's first process gives the bytes to seccomp(2) itself.
package seccomp

import (
	"encoding/binary"
	"fmt"

	"github.com/containerd/errdefs"
	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Instruction is one instruction of classic BPF, with the fields of the kernel's struct sock_filter.
type Instruction struct {
	Code   uint16
	Jt, Jf uint8
	K      uint32
}

// Default returns Docker's default profile for this host's architecture and kernel, as Docker resolves it for a
// container whose bounding set is caps (names like CAP_CHOWN). The profile is the caller's to change.
func Default(caps []string) (*specs.LinuxSeccomp, error) {
	spec := specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: caps}}}
	p, err := moby.GetDefaultProfile(&spec)
	if err != nil {
		return nil, fmt.Errorf("resolve default seccomp profile: %w", err)
	}
	return p, nil
}

// Flags returns the flags of p for seccomp(2). A profile that names none gets SECCOMP_FILTER_FLAG_SPEC_ALLOW, as from
// runc; an empty list that is not nil gets no flag. SECCOMP_FILTER_FLAG_TSYNC has no effect: the thread that loads the
// filter is the only one of the program that it executes. A flag that needs a listener is errdefs.ErrNotImplemented.
func Flags(p *specs.LinuxSeccomp) (uint32, error) {
	if p.Flags == nil {
		return unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, nil
	}
	var flags uint32
	for _, f := range p.Flags {
		switch f {
		case specs.LinuxSeccompFlagLog:
			flags |= unix.SECCOMP_FILTER_FLAG_LOG
		case specs.LinuxSeccompFlagSpecAllow:
			flags |= unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
		case "SECCOMP_FILTER_FLAG_TSYNC":
		case specs.LinuxSeccompFlagWaitKillableRecv:
			return 0, fmt.Errorf("seccomp flag %q needs a listener: %w", f, errdefs.ErrNotImplemented)
		default:
			return 0, fmt.Errorf("unknown seccomp flag %q: %w", f, errdefs.ErrInvalidArgument)
		}
	}
	return flags, nil
}

// Bytes returns prog as the kernel's array of struct sock_filter: 8 bytes for each instruction, in host byte order.
// The number for struct sock_fprog is len(prog).
func Bytes(prog []Instruction) []byte {
	b := make([]byte, 0, 8*len(prog))
	for _, in := range prog {
		b = binary.NativeEndian.AppendUint16(b, in.Code)
		b = append(b, in.Jt, in.Jf)
		b = binary.NativeEndian.AppendUint32(b, in.K)
	}
	return b
}
