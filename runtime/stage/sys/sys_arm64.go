package sys

// System calls whose number depends on the architecture.
const (
	sysExecveat = 281
	SysSeccomp  = 277
)
