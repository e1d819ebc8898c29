package seccomp

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data.
const (
	offsetNr   = 0
	offsetArch = 4
	offsetArgs = 16
)

const (
	opLoad = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opAnd  = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	opRet  = unix.BPF_RET | unix.BPF_K
	opJump = unix.BPF_JMP | unix.BPF_JA
	opJeq  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opJge  = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	opJgt  = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
)

// reach is how many instructions a conditional jump can skip.
const reach = 255

// program is written from its end: jumps go forward only, so that the place of every target is known when the jump to
// it is written. A label is the number of instructions from a place to the end.
type program struct {
	rev  []Instruction
	rets map[uint32]int // the latest label of each result
}

// assemble returns the filter of sections. Only what the kernel can evaluate in advance (loads of nr and arch,
// comparisons, jumps) stands before the loads of arguments: Linux 5.11 and later then answer calls that are always
// allowed from a bitmap, without running the filter.
func assemble(sections []section) []Instruction {
	p := &program{rets: map[uint32]int{}}
	next := p.ret(unix.SECCOMP_RET_KILL_THREAD) // as libseccomp for an architecture that it was not told of
	for _, s := range slices.Backward(sections) {
		search := p.before(p.tree(s.ranges), opLoad, offsetNr)
		next = p.branch(opJeq, s.audit, search, next)
	}
	p.before(next, opLoad, offsetArch)
	slices.Reverse(p.rev)
	return p.rev
}

// same says whether s and o, neighbours, can be one.
func (s span) same(o span) bool {
	return s.ret == o.ret && len(s.rules) == 0 && len(o.rules) == 0
}

func (p *program) emit(code uint16, k uint32) int {
	p.rev = append(p.rev, Instruction{Code: code, K: k})
	return len(p.rev)
}

// before writes an instruction that prepares the accumulator for what was written last, if that is label. If it is
// not, because nothing had to be compared, nothing has to be prepared.
func (p *program) before(label int, code uint16, k uint32) int {
	if label != len(p.rev) {
		return label
	}
	return p.emit(code, k)
}

// ret returns the label of an instruction that ends the program with result, near enough to be jumped to.
func (p *program) ret(result uint32) int {
	if label, ok := p.rets[result]; ok && len(p.rev)-label < reach/2 {
		return label
	}
	p.rets[result] = p.emit(opRet, result)
	return p.rets[result]
}

// near returns a label that means target and is at most distance instructions away.
func (p *program) near(target, distance int) int {
	away := len(p.rev) - target
	if away <= distance {
		return target
	}
	if in := p.rev[target-1]; in.Code == opRet {
		return p.ret(in.K)
	}
	return p.emit(opJump, uint32(away))
}

// branch writes a conditional jump.
func (p *program) branch(code uint16, k uint32, yes, no int) int {
	if yes == no {
		return yes
	}
	yes = p.near(yes, reach-1) // one less, because the next line may write an instruction
	no = p.near(no, reach)
	label := p.emit(code, k)
	in := &p.rev[label-1]
	in.Jt, in.Jf = uint8(label-1-yes), uint8(label-1-no)
	return label
}

// tree writes the search for the span of the number in the accumulator and returns its label.
func (p *program) tree(spans []span) int {
	switch n := len(spans); {
	case n == 1:
		return p.leaf(spans[0])
	case n == 3 && spans[0].same(spans[2]) && spans[1].from+1 == spans[2].from:
		no := p.leaf(spans[0])
		return p.branch(opJeq, spans[1].from, p.leaf(spans[1]), no)
	default:
		high := p.tree(spans[n/2:])
		low := p.tree(spans[:n/2])
		return p.branch(opJge, spans[n/2].from, high, low)
	}
}

func (p *program) leaf(s span) int {
	label := p.ret(s.ret)
	for _, r := range slices.Backward(s.rules) {
		no := label
		label = p.ret(r.ret)
		for _, c := range slices.Backward(r.conds) {
			label = p.cond(c, label, no)
		}
	}
	return label
}

// cond writes the comparison of an argument.
func (p *program) cond(c cond, yes, no int) int {
	low := uint32(offsetArgs + 8*c.index)
	switch c.op {
	case specs.OpGreaterThan:
		return p.order(opJgt, c, low, yes, no)
	case specs.OpLessEqual:
		return p.order(opJgt, c, low, no, yes)
	case specs.OpGreaterEqual:
		return p.order(opJge, c, low, yes, no)
	case specs.OpLessThan:
		return p.order(opJge, c, low, no, yes)
	case specs.OpNotEqual:
		yes, no = no, yes
	default: // equality
	}
	label := p.equal(low, uint32(c.mask), uint32(c.value), yes, no)
	if c.narrow {
		return label
	}
	return p.equal(low+4, uint32(c.mask>>32), uint32(c.value>>32), label, no)
}

// equal writes the comparison of one half of an argument, which a mask of nothing does not need.
func (p *program) equal(offset, mask, value uint32, yes, no int) int {
	if mask == 0 {
		return yes
	}
	label := p.branch(opJeq, value, yes, no)
	if mask != ^uint32(0) {
		label = p.before(label, opAnd, mask)
	}
	return p.before(label, opLoad, offset)
}

// order writes the comparison of an argument by jump, which is opJgt or opJge.
func (p *program) order(jump uint16, c cond, low uint32, yes, no int) int {
	label := p.before(p.branch(jump, uint32(c.value), yes, no), opLoad, low)
	if c.narrow {
		return label
	}
	label = p.branch(opJeq, uint32(c.value>>32), label, no)
	return p.before(p.branch(opJgt, uint32(c.value>>32), yes, label), opLoad, low+4)
}
