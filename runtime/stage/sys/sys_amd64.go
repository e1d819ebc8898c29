package sys

// System calls whose number depends on the architecture.
const (
	SysExecveat = 322
	SysSeccomp  = 317
)
