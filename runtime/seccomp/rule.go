package seccomp

import (
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// maxErrno is the largest error number that the kernel returns for SECCOMP_RET_ERRNO.
const maxErrno = 4095

// rule is one line of a profile for one system call: the result when every condition holds.
type rule struct {
	seq   int // place in the profile
	ret   uint32
	conds []cond
}

// cond compares one argument.
type cond struct {
	index  uint
	op     specs.LinuxSeccompOperator // never MASKED_EQ: that is EQ with a mask
	value  uint64
	mask   uint64 // of EQ and NE
	narrow bool   // compare the lower 32 bits only
}

// rules is a profile with its names resolved to nothing yet: they mean other numbers on other architectures.
type rules struct {
	def    uint32 // result of what no rule matches
	enosys bool   // calls newer than the profile get ENOSYS
	byName map[string][]rule
}

// parse checks p and sorts its rules by name.
func parse(p *specs.LinuxSeccomp) (*rules, error) {
	if p.ListenerPath != "" || p.ListenerMetadata != "" {
		return nil, fmt.Errorf("seccomp listener: %w", errdefs.ErrNotImplemented)
	}
	def, err := result(p.DefaultAction, p.DefaultErrnoRet)
	if err != nil {
		return nil, fmt.Errorf("default action: %w", err)
	}
	rs := &rules{def: def, enosys: stubbed(p), byName: make(map[string][]rule, 512)}
	for seq, call := range p.Syscalls {
		ret, err := result(call.Action, call.ErrnoRet)
		if err != nil {
			return nil, fmt.Errorf("seccomp rule %d for %q: %w", seq, call.Names, err)
		}
		list, err := conditions(call.Args)
		if err != nil {
			return nil, fmt.Errorf("seccomp rule %d for %q: %w", seq, call.Names, err)
		}
		var own []rule
		if ret != def { // as runc: a rule with the default's result only makes the name known
			for _, conds := range list {
				own = append(own, rule{seq, ret, conds})
			}
		}
		own = slices.Clip(own) // shared by the names
		for _, name := range call.Names {
			if have, ok := rs.byName[name]; ok {
				rs.byName[name] = slices.Concat(have, own)
			} else {
				rs.byName[name] = own
			}
		}
	}
	return rs, nil
}

// stubbed says whether calls that are newer than p get ENOSYS instead of the default action, by runc's rule: libraries
// fall back to older calls on ENOSYS and on nothing else.
func stubbed(p *specs.LinuxSeccomp) bool {
	if slices.Contains([]specs.LinuxSeccompAction{specs.ActAllow, specs.ActLog, specs.ActTrace}, p.DefaultAction) {
		return false
	}
	return p.DefaultErrnoRet == nil || *p.DefaultErrnoRet != uint(unix.ENOSYS)
}

// result returns what a filter returns to the kernel for action.
func result(action specs.LinuxSeccompAction, errno *uint) (uint32, error) {
	data, limit := uint(0), uint(0)
	var ret uint32
	switch action {
	case specs.ActKill, specs.ActKillThread:
		ret = unix.SECCOMP_RET_KILL_THREAD
	case specs.ActKillProcess:
		ret = unix.SECCOMP_RET_KILL_PROCESS
	case specs.ActTrap:
		ret = unix.SECCOMP_RET_TRAP
	case specs.ActErrno:
		ret, data, limit = unix.SECCOMP_RET_ERRNO, uint(unix.EPERM), maxErrno
	case specs.ActTrace:
		ret, data, limit = unix.SECCOMP_RET_TRACE, uint(unix.EPERM), unix.SECCOMP_RET_DATA
	case specs.ActAllow:
		ret = unix.SECCOMP_RET_ALLOW
	case specs.ActLog:
		ret = unix.SECCOMP_RET_LOG
	case specs.ActNotify:
		return 0, fmt.Errorf("seccomp action %q: %w", action, errdefs.ErrNotImplemented)
	default:
		return 0, fmt.Errorf("unknown seccomp action %q: %w", action, errdefs.ErrInvalidArgument)
	}
	if errno == nil {
		return ret | uint32(data), nil
	}
	if limit == 0 {
		return 0, fmt.Errorf("seccomp action %q takes no errnoRet: %w", action, errdefs.ErrInvalidArgument)
	}
	if *errno > limit {
		return 0, fmt.Errorf("errnoRet %d is above %d: %w", *errno, limit, errdefs.ErrInvalidArgument)
	}
	return ret | uint32(*errno), nil
}

// conditions returns the alternatives that args mean, each a list of conditions that must all hold. As with runc, the
// conditions are alternatives of one another when two name the same argument.
func conditions(args []specs.LinuxSeccompArg) ([][]cond, error) {
	conds := make([]cond, 0, len(args))
	repeated := false
	for _, a := range args {
		c := cond{index: a.Index, op: a.Op, value: a.Value, mask: ^uint64(0)}
		switch a.Op {
		case specs.OpMaskedEqual:
			c.op, c.mask, c.value = specs.OpEqualTo, a.Value, a.ValueTwo&a.Value
		case specs.OpEqualTo, specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpGreaterThan,
			specs.OpGreaterEqual:
		default:
			return nil, fmt.Errorf("unknown seccomp operator %q: %w", a.Op, errdefs.ErrInvalidArgument)
		}
		if a.Index > 5 {
			return nil, fmt.Errorf("seccomp argument %d is above 5: %w", a.Index, errdefs.ErrInvalidArgument)
		}
		repeated = repeated || slices.ContainsFunc(conds, func(o cond) bool { return o.index == a.Index })
		conds = append(conds, c)
	}
	if !repeated {
		return [][]cond{conds}, nil
	}
	var list [][]cond
	for i := range conds {
		list = append(list, conds[i:i+1])
	}
	return list, nil
}
