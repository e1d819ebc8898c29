// Package oracle runs containers with the built-in runtime and with runc and compares what a program in them can see
// and do.
//
// There is nothing here but tests. A generator makes settings, as flags of "lrun run"; package probe is the program
// that runs inside and reports. What differs must have an explanation, and an explanation must be needed.
package oracle
