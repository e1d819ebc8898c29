package main

import "golang.org/x/sys/unix"

// own are calls that only this architecture has.
func own() []call {
	return []call{
		{"create_module", unix.SYS_CREATE_MODULE, []uintptr{0, 0}},
		{"iopl", unix.SYS_IOPL, []uintptr{0}},
		{"ioperm", unix.SYS_IOPERM, []uintptr{0, 0, 0}},
		{"query_module", unix.SYS_QUERY_MODULE, []uintptr{0, 0, 0, 0, 0}},
		{"sysfs", unix.SYS_SYSFS, []uintptr{bad, 0, 0}},
		{"_sysctl", unix.SYS__SYSCTL, []uintptr{0}},
		{"uselib", unix.SYS_USELIB, []uintptr{0}},
		{"ustat", unix.SYS_USTAT, []uintptr{bad, 0}},
		{"modify_ldt", unix.SYS_MODIFY_LDT, []uintptr{bad, 0, 0}},
		{"arch_prctl", unix.SYS_ARCH_PRCTL, []uintptr{bad >> 33, 0}},
	}
}
