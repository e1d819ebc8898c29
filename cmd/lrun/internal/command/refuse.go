package command

import (
	"fmt"
	"strings"
)

// read sorts a command's arguments and refuses, by name and with what to do instead, the flags of Docker's that
// the command has not. It stops at the first of them: what follows may be its value.
func (e *Entry) read(specs flagSpecs, args []string) (arguments, error) {
	if e.RefusedFlags == nil {
		return specs.read(args, e.FlagsFirst)
	}
	refused := e.RefusedFlags()
	for name := range refused {
		if _, known := specs[name]; !known {
			specs[name] = flagSpec{name: name, isSwitch: true}
		}
	}
	read, err := specs.read(args, e.FlagsFirst)
	for _, f := range read.flags {
		name, _, _ := strings.Cut(strings.TrimPrefix(f, "--"), "=")
		if advice, ok := refused[name]; ok {
			return read, fmt.Errorf("flag %s is not supported: %s", dashed(name), advice)
		}
	}
	return read, err
}
