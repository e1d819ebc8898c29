//go:build !probe

package main

// startSignals are the masks of signals that the program was started with. Only the runtime knows them, and tells only a
// program that is built with -tags probe -ldflags -checklinkname=0.
func startSignals() (blocked uint64, ignored []int) { return 0, nil }
