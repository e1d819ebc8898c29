package command

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// namesOf are the spellings of a flag, its own name first. Flag.Names says the same, but evaluates a regular
// expression for each.
func namesOf(f cli.Flag) []string {
	switch f := f.(type) {
	case *cli.BoolFlag:
		return append([]string{f.Name}, f.Aliases...)
	case *cli.StringFlag:
		return append([]string{f.Name}, f.Aliases...)
	case *cli.StringSliceFlag:
		return append([]string{f.Name}, f.Aliases...)
	case *cli.IntFlag:
		return append([]string{f.Name}, f.Aliases...)
	case *cli.Int64Flag:
		return append([]string{f.Name}, f.Aliases...)
	default:
		return f.Names()
	}
}

// needed are those of flags that say something on this command line: the given ones, as reading it has left them, and
// those that have a value of their own or take one from the environment. The others would take urfave/cli longer
// than most commands run.
func needed(flags []cli.Flag, given []string) []cli.Flag {
	names := make(map[string]bool, len(given))
	for _, g := range given {
		name, _, _ := strings.Cut(strings.TrimPrefix(g, "--"), "=")
		names[name] = true
	}
	return slices.DeleteFunc(slices.Clone(flags), func(f cli.Flag) bool {
		return silent(f) && !names[namesOf(f)[0]]
	})
}

// silent reports whether f changes nothing unless it is given.
func silent(f cli.Flag) bool {
	switch f := f.(type) {
	case *cli.BoolFlag:
		return optional(f.Required, f.EnvVars) && holds(f.Destination, f.Value)
	case *cli.StringFlag:
		return optional(f.Required, f.EnvVars) && holds(f.Destination, f.Value)
	case *cli.StringSliceFlag:
		return optional(f.Required, f.EnvVars) && f.Value == nil
	case *cli.IntFlag:
		return optional(f.Required, f.EnvVars) && holds(f.Destination, f.Value)
	case *cli.Int64Flag:
		return optional(f.Required, f.EnvVars) && holds(f.Destination, f.Value)
	default:
		return false
	}
}

// optional says that a flag need not be given, and that nothing but the command line gives it.
func optional(required bool, variables []string) bool { return !required && len(variables) == 0 }

// holds reports whether a flag's variable has the flag's default already. Without a variable, what a command reads of a
// flag that is not there is zero.
func holds[T comparable](variable *T, value T) bool {
	var zero T
	if variable == nil {
		return value == zero
	}
	return *variable == value
}
