// Package signal reads signals as people write them.
package signal

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// The real-time signals that the C library leaves to programs (signal(7)).
const realTimeMin, realTimeMax = 34, 64

// Parse reads a signal's name, with or without SIG, or its number. Anything else is errdefs.ErrInvalidArgument.
func Parse(s string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil && n > 0 && n <= realTimeMax {
		return syscall.Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if n := unix.SignalNum("SIG" + name); n != 0 {
		return n, nil
	}
	if n, ok := realTime(name); ok {
		return n, nil
	}
	return 0, fmt.Errorf("signal %q: there is none of that name: %w", s, errdefs.ErrInvalidArgument)
}

// realTime reads RTMIN, RTMIN+N, RTMAX and RTMAX-N.
func realTime(name string) (syscall.Signal, bool) {
	base, sign := realTimeMin, 1
	offset, ok := strings.CutPrefix(name, "RTMIN")
	if !ok {
		base, sign = realTimeMax, -1
		if offset, ok = strings.CutPrefix(name, "RTMAX"); !ok {
			return 0, false
		}
	}
	if offset == "" {
		return syscall.Signal(base), true
	}
	n, err := strconv.ParseUint(offset[1:], 10, 8)
	if err != nil || n > realTimeMax-realTimeMin || (offset[0] == '+') != (sign > 0) || !strings.ContainsAny(offset[:1], "+-") {
		return 0, false
	}
	return syscall.Signal(base + sign*int(n)), true
}
