// Package stack spares goroutines of short-lived processes the growing of their stacks: a goroutine begins with 2 KiB, and each
// time that these do not suffice its stack is copied to one of twice the size.
package stack

// Ensure gives the calling goroutine 16 KiB of stack at once.
func Ensure() { ensure(false) }

// ensure needs that much stack when it is called, and touches it only with use.
//
//go:noinline
func ensure(use bool) {
	if use {
		var frame [15 << 10]byte
		touch(&frame)
	}
}

//go:noinline
func touch(frame *[15 << 10]byte) { frame[0] = 1 }
