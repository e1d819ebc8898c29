//go:build probe

package main

import _ "unsafe" // for linkname

//go:linkname initSigmask runtime.initSigmask
var initSigmask [2]uint32

//go:linkname fwdSig runtime.fwdSig
var fwdSig [65]uintptr

// startSignals are the masks of signals that the program was started with, before Go's runtime had handlers of its own.
func startSignals() (blocked uint64, ignored []int) {
	for i, handler := range fwdSig {
		if handler == 1 { // SIG_IGN
			ignored = append(ignored, i)
		}
	}
	return uint64(initSigmask[1])<<32 | uint64(initSigmask[0]), ignored
}
