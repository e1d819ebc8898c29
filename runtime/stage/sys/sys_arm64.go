package sys

// System calls whose number depends on the architecture.
const (
	SysExecveat = 281
	SysSeccomp  = 277
)
