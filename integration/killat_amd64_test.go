package integration

import "golang.org/x/sys/unix"

// looks tells whether a call that only this architecture has changes nothing.
func looks(number uint64) bool {
	switch number {
	case unix.SYS_NEWFSTATAT, unix.SYS_STAT, unix.SYS_LSTAT, unix.SYS_ACCESS, unix.SYS_READLINK, unix.SYS_ARCH_PRCTL, unix.SYS_POLL:
		return true
	}
	return false
}
