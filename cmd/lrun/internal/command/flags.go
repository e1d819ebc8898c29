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
		return optional(f.Required, f.EnvVars) && zero(&f.Value) && zero(f.Destination)
	case *cli.StringFlag:
		return optional(f.Required, f.EnvVars) && zero(&f.Value) && zero(f.Destination)
	case *cli.StringSliceFlag:
		return optional(f.Required, f.EnvVars) && f.Value == nil
	case *cli.Int64Flag:
		return optional(f.Required, f.EnvVars) && zero(&f.Value) && zero(f.Destination)
	default:
		return false
	}
}

// optional says that a flag need not be given, and that nothing but the command line gives it.
func optional(required bool, variables []string) bool { return !required && len(variables) == 0 }

// zero reports whether p points to nothing, or to the value that it has anyway.
func zero[T comparable](p *T) bool {
	var none T
	return p == nil || *p == none
}
