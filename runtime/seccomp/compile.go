package seccomp

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Compile returns the program of p for this host's kernel. It means what runc and libseccomp make of the same profile:
//
//   - The host's own architecture is always covered, of the others those that p lists; a call by any other ABI kills
//     the thread. Names that an architecture does not have are skipped there.
//   - A rule without conditions beats those with conditions; of those the first that matches wins.
//   - Where the default action refuses, calls newer than the newest that p names get ENOSYS.
//   - Comparisons are of 64 bits, or of 32 on a 32-bit ABI; on i386, socketcall and ipc follow the rules of the calls
//     behind them, whose arguments a filter cannot see.
//
// In two things it is better. Arguments that the kernel takes as an int, such as the address family of socket, are
// compared without their upper half, which else lets a caller slip through. And the calls that are newer than the
// profile get ENOSYS also where the profile lists no architecture.
//
// What the specification allows and lrun has not, SCMP_ACT_NOTIFY and its listener, is errdefs.ErrNotImplemented; a
// profile that is wrong or needs more than the kernel's 4096 instructions is errdefs.ErrInvalidArgument.
func Compile(p *specs.LinuxSeccomp) ([]Instruction, error) {
	prog, err := compile(runtime.GOARCH, p)
	if err != nil {
		return nil, fmt.Errorf("compile seccomp profile: %w", err)
	}
	return prog, nil
}

func compile(goarch string, p *specs.LinuxSeccomp) ([]Instruction, error) {
	all, err := family(goarch)
	if err != nil {
		return nil, err
	}
	chosen, err := choose(all, p.Architectures)
	if err != nil {
		return nil, err
	}
	rs, err := parse(p)
	if err != nil {
		return nil, err
	}
	var sections []section
	for _, a := range chosen {
		if a.bit != 0 { // x32 shares the section of the first
			sections[0].ranges = append(sections[0].ranges, rs.ranges(a)...)
			continue
		}
		sections = append(sections, section{a.audit, rs.ranges(a)})
	}
	if goarch == "amd64" {
		sections[0].ranges = closeX32(sections[0].ranges, rs.def)
	}
	prog := assemble(sections)
	if len(prog) > unix.BPF_MAXINSNS {
		return nil, fmt.Errorf("%d instructions, more than %d: %w", len(prog), unix.BPF_MAXINSNS, errdefs.ErrInvalidArgument)
	}
	return prog, nil
}

// section is what a filter does for one value of seccomp_data.arch.
type section struct {
	audit  uint32
	ranges []span // ascending, the first from 0
}

// span is a range of numbers that are treated alike, up to the next span: with rules, those decide and ret is what is
// left; without, ret is the result.
type span struct {
	from  uint32
	ret   uint32
	rules []rule
}

// ranges returns the spans of a, the last of them open.
func (rs *rules) ranges(a arch) []span {
	spans := make([]span, 0, 128)
	add := func(s span) {
		if n := len(spans); n == 0 || !spans[n-1].same(s) {
			spans = append(spans, s)
		}
	}
	next, newest, listed := uint32(0), uint32(0), false
	for nr, name := range a.calls() {
		if nr > next {
			add(span{from: a.bit | next, ret: rs.def})
		}
		named, ok := rs.named(a, name)
		if ok && nr < privateARM {
			newest, listed = nr, true
		}
		add(rs.span(a.bit|nr, named))
		next = nr + 1
	}
	add(span{from: a.bit | next, ret: rs.def})
	if rs.enosys && listed {
		return rs.newer(spans, a, newest+1)
	}
	return spans
}

// privateARM is the first of arm's private calls, which are far above the others and no sign of a profile's age.
const privateARM = 0xf0000

// newer gives ENOSYS to every number of a from first on, but for arm's private calls.
func (rs *rules) newer(spans []span, a arch, first uint32) []span {
	below := func(limit uint32) int {
		i, _ := slices.BinarySearchFunc(spans, limit, func(s span, nr uint32) int { return cmp.Compare(s.from, nr) })
		return i
	}
	enosys := unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	kept := append(slices.Clone(spans[:below(a.bit|first)]), span{from: a.bit | first, ret: enosys})
	if a.name != specs.ArchARM {
		return kept
	}
	kept = append(kept, span{from: privateARM, ret: rs.def})
	return append(kept, spans[below(privateARM):]...)
}

// span returns the span from nr on under named: the first unconditional rule decides alone.
func (rs *rules) span(nr uint32, named []rule) span {
	for _, r := range named {
		if len(r.conds) == 0 {
			return span{from: nr, ret: r.ret}
		}
	}
	return span{from: nr, ret: rs.def, rules: named}
}

// named returns the rules for name on a, and whether the profile names it. What the caller gets may be shared when it
// has no conditions, else not.
func (rs *rules) named(a arch, name string) ([]rule, bool) {
	named, ok := rs.byName[name]
	if second := alias(name); second != "" {
		more, too := rs.byName[second]
		named, ok = inOrder(named, more), ok || too
	}
	if slices.ContainsFunc(named, func(r rule) bool { return len(r.conds) > 0 }) {
		named = slices.Clone(named)
		for i := range named {
			named[i].conds = narrowed(a, name, named[i].conds)
		}
	}
	if table := multiplexed(name); a.mux && table != "" {
		named = inOrder(named, rs.behind(table))
	}
	return named, ok
}

// inOrder returns the rules of both in the order of the profile.
func inOrder(a, b []rule) []rule {
	both := slices.Concat(a, b)
	slices.SortStableFunc(both, func(x, y rule) int { return cmp.Compare(x.seq, y.seq) })
	return both
}

// narrowed returns conds with those marked that a's registers or the call's types cut to 32 bits.
func narrowed(a arch, name string, conds []cond) []cond {
	out := slices.Clone(conds)
	for i, c := range out {
		out[i].narrow = a.narrow || isInt(name, c.index)
	}
	return out
}

// behind returns the rules for a multiplexer that the rules for the calls of table behind it amount to.
func (rs *rules) behind(table string) []rule {
	var out []rule
	for nr, call := range (arch{table: table}).calls() {
		for _, r := range rs.byName[call] {
			which := cond{index: 0, op: specs.OpEqualTo, value: uint64(nr), mask: ^uint64(0), narrow: true}
			out = append(out, rule{seq: r.seq, ret: r.ret, conds: []cond{which}})
		}
	}
	return out
}

// closeX32 ends the numbers of x86_64 where the profile does not list x32: its numbers kill, but -1, by which a tracer
// skips a call, has the default action.
func closeX32(spans []span, def uint32) []span {
	if spans[len(spans)-1].from >= x32Bit {
		return spans
	}
	return append(spans, span{from: x32Bit, ret: unix.SECCOMP_RET_KILL_THREAD}, span{from: ^uint32(0), ret: def})
}
