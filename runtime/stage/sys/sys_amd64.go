package sys

// System calls whose number depends on the architecture.
const (
	sysExecveat = 322
	SysSeccomp  = 317
)
