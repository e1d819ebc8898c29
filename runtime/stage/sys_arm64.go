package stage

const sysExecveat = 281
