package command

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// flagSpec is what reading the arguments needs to know about a flag.
type flagSpec struct {
	name     string // the flag's own, of all its spellings
	isSwitch bool   // takes a value only as --name=VALUE
}

// flagSpecs knows flags by each of their spellings, without dashes.
type flagSpecs map[string]flagSpec

// specsOf collects the spellings of flags.
func specsOf(flags []cli.Flag) flagSpecs {
	specs := make(flagSpecs, 2*len(flags))
	for _, f := range flags {
		_, isSwitch := f.(*cli.BoolFlag)
		names := namesOf(f)
		for _, n := range names {
			specs[n] = flagSpec{name: names[0], isSwitch: isSwitch}
		}
	}
	return specs
}

// arguments are a command line, sorted. Flags are in the one spelling that leaves no doubt, --name=VALUE, in the
// order in which they were given.
type arguments struct {
	flags    []string
	operands []string
	help     bool // --help was among the flags
}

// canonical is the command line that means the same to every parser of flags.
func (a arguments) canonical() []string {
	return slices.Concat(a.flags, []string{"--"}, a.operands)
}

// read sorts args the way Docker reads them: long flags with two dashes, clusters of short ones with one, values
// after = or as the next argument, everything after -- an operand. With flagsFirst also everything after the first
// operand is one.
func (specs flagSpecs) read(args []string, flagsFirst bool) (arguments, error) {
	var out arguments
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		var err error
		switch {
		case arg == "--":
			out.operands = append(out.operands, args...)
			return out, nil
		case strings.HasPrefix(arg, "--"):
			args, err = specs.long(arg[2:], args, &out)
		case len(arg) > 1 && arg[0] == '-':
			args, err = specs.short(arg[1:], args, &out)
		case flagsFirst:
			out.operands = append([]string{arg}, args...)
			return out, nil
		default:
			out.operands = append(out.operands, arg)
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// long reads one --name or --name=VALUE and returns the arguments that are left.
func (specs flagSpecs) long(arg string, rest []string, out *arguments) ([]string, error) {
	name, value, hasValue := strings.Cut(arg, "=")
	spec, known := specs[name]
	switch {
	case known && len(name) == 1:
		return rest, fmt.Errorf("unknown flag: --%s (short flags take one dash: -%s)", name, name)
	case !known && name == "help":
		out.help = true
		return rest, nil
	case !known:
		return rest, fmt.Errorf("unknown flag: --%s%s", name, specs.suggest(name))
	case hasValue:
	case spec.isSwitch:
		value = "true"
	case len(rest) == 0:
		return rest, fmt.Errorf("flag needs an argument: --%s", name)
	default:
		value, rest = rest[0], rest[1:]
	}
	out.flags = append(out.flags, "--"+spec.name+"="+value)
	return rest, nil
}

// short reads one cluster such as -it, -n5, -n=5 or -qf VALUE and returns the arguments that are left.
func (specs flagSpecs) short(cluster string, rest []string, out *arguments) ([]string, error) {
	for i := range len(cluster) { // names of flags are ASCII
		letter, after := cluster[i:i+1], cluster[i+1:]
		spec, known := specs[letter]
		if !known && letter == "h" {
			out.help = true
			continue
		}
		if !known {
			r, _ := utf8.DecodeRuneInString(cluster[i:])
			return rest, fmt.Errorf("unknown shorthand flag: %q in -%s%s", r, cluster, specs.suggest(cluster))
		}
		value, done := "true", false
		switch {
		case strings.HasPrefix(after, "="):
			value, done = after[1:], true
		case spec.isSwitch:
		case after != "":
			value, done = after, true
		case len(rest) == 0:
			return rest, fmt.Errorf("flag needs an argument: '%s' in -%s", letter, cluster)
		default:
			value, rest, done = rest[0], rest[1:], true
		}
		out.flags = append(out.flags, "--"+spec.name+"="+value)
		if done {
			return rest, nil
		}
	}
	return rest, nil
}

// suggest names the flag that was probably meant, as the end of a message; none comes close: "".
func (specs flagSpecs) suggest(name string) string {
	var long []string
	for n := range specs {
		if len(n) > 1 {
			long = append(long, n)
		}
	}
	if best := nearest(name, long); best != "" {
		return "; did you mean --" + best + "?"
	}
	return ""
}

// nearest is the candidate that a slip of the finger turns into word: at most two letters inserted, dropped,
// changed or swapped, and at most half of the word. None: "".
func nearest(word string, candidates []string) string {
	best, least := "", min(2, len(word)/2)+1
	slices.Sort(candidates)
	for _, c := range candidates {
		if d := distance(word, c); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance counts the slips between two words (optimal string alignment).
func distance(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
