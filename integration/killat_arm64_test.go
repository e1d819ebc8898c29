package integration

import "golang.org/x/sys/unix"

// looks tells whether a call that this architecture names differently changes nothing.
func looks(number uint64) bool { return number == unix.SYS_FSTATAT }
