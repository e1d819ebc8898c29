package stage

const (
	sysExecveat = 281
	sysSeccomp  = 277
)
