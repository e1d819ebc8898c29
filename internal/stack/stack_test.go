package stack

import (
	"testing"
	"unsafe"
)

// A stack that grows moves, and with it what is on it.
func TestEnsure(t *testing.T) {
	for _, ensured := range []bool{false, true} {
		moved := make(chan bool)
		go func() {
			if ensured {
				Ensure()
			}
			var local byte
			before := uintptr(unsafe.Pointer(&local))
			descend(12)
			moved <- before != uintptr(unsafe.Pointer(&local))
		}()
		if got := <-moved; got == ensured {
			t.Errorf("ensured %v: the stack has moved %v", ensured, got)
		}
	}
}

// descend uses n KiB of stack.
//
//go:noinline
func descend(n int) byte {
	var frame [1 << 10]byte
	if n > 0 {
		frame[n] = descend(n - 1)
	}
	return frame[n]
}
