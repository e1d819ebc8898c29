package stage

const sysExecveat = 322
