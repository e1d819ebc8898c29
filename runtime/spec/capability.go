package spec

import (
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
)

// names returns the capabilities in the order of their numbers (linux/capability.h, Linux 5.9).
func names() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
		"CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW",
		"CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT",
		"CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD",
		"CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG",
		"CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
	}
}

// defaultMask holds the 14 capabilities that Docker leaves to a container.
const defaultMask = 1<<0 | 1<<1 | 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<13 | 1<<18 | 1<<27 | 1<<29 | 1<<31

// Mask returns the bits of the named capabilities; a name that is none sets no bit.
func Mask(list []string) uint64 {
	var mask uint64
	for _, name := range list {
		if bit := number(name); bit >= 0 {
			mask |= 1 << bit
		}
	}
	return mask
}

// CapabilityNames returns the names of the bits in mask, in the order of their numbers.
func CapabilityNames(mask uint64) []string {
	var list []string
	for i, name := range names() {
		if mask&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	return list
}

// number returns the bit of a capability, given with or without CAP_ and in any case; -1: none has that name.
func number(name string) int {
	name = strings.ToUpper(name)
	if !strings.HasPrefix(name, "CAP_") {
		name = "CAP_" + name
	}
	for i, known := range names() {
		if known == name {
			return i
		}
	}
	return -1
}

// Capabilities applies --cap-add and --cap-drop in Docker's way: an ALL on one side leaves the other
// side to name the exceptions. What lrun itself lacks (bounding) is left out unless the user asked for it, which is
// errdefs.ErrFailedPrecondition; a name that is none is errdefs.ErrInvalidArgument.
func Capabilities(s Settings, bounding uint64) ([]string, error) {
	add, addAll, err := capabilityMask("--cap-add", s.CapAdd)
	if err != nil {
		return nil, err
	}
	drop, dropAll, err := capabilityMask("--cap-drop", s.CapDrop)
	if err != nil {
		return nil, err
	}
	if lacking := add &^ bounding; lacking != 0 {
		return nil, fmt.Errorf("add capability %s: lrun itself does not have it: %w",
			strings.Join(CapabilityNames(lacking), ", "), errdefs.ErrFailedPrecondition)
	}
	mask := uint64(defaultMask)
	switch {
	case s.Privileged:
		mask = ^uint64(0)
	case addAll:
		mask = ^uint64(0) &^ drop
	case dropAll:
		mask = add
	default:
		mask = mask&^drop | add
	}
	return CapabilityNames(mask & bounding), nil
}

func capabilityMask(flag string, list []string) (mask uint64, all bool, err error) {
	for _, name := range list {
		if strings.EqualFold(name, "ALL") {
			all = true
			continue
		}
		bit := number(name)
		if bit < 0 {
			return 0, false, fmt.Errorf("%s %q: no capability has that name (see capabilities(7)): %w", flag, name, errdefs.ErrInvalidArgument)
		}
		mask |= 1 << bit
	}
	return mask, all, nil
}
