#include "textflag.h"

// entry is where the kernel enters a program that is linked with -E and this symbol. Executed as "lrun-stage" it
// calls bare; otherwise, and when that returns, it goes to where every Go program begins. (A read past the end of a short name
// is one of the environment, or of the eight zero bytes at the end of the stack.)
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	CMPQ 0(SP), $1
	JNE runtime
	MOVQ 8(SP), AX
	MOVQ $0x6174732d6e75726c, BX // "lrun-sta"
	CMPQ BX, 0(AX)
	JNE runtime
	MOVL 7(AX), BX
	CMPL BX, $0x00656761 // "age" and its end
	JNE runtime

	// What compiled Go code expects: a goroutine that has all of the stack, found by the thread's pointer.
	MOVQ SP, R12
	LEAQ ·goroutine(SB), AX
	MOVQ AX, ·thread(SB)
	LEAQ ·thread+8(SB), SI
	MOVQ $0x1002, DI // ARCH_SET_FS
	MOVQ $158, AX    // arch_prctl
	SYSCALL
	ANDQ $~15, SP
	SUBQ $16, SP
	MOVQ R12, 0(SP)
	MOVQ R12, 8(SP)
	CALL ·bare(SB)
	MOVQ 8(SP), SP

runtime:
	XORL DX, DX
	JMP _rt0_amd64_linux(SB)

// goroutine is a runtime.g of zeros: its stack has no end.
GLOBL ·goroutine(SB), NOPTR, $512
// thread is the goroutine's address and, eight bytes on, where the thread's pointer points.
GLOBL ·thread(SB), NOPTR, $16
