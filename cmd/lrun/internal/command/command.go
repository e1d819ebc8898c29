// Package command is the frame of lrun's command line.
//
// One table, a list of groups with their entries, yields every form that Docker has of a command (`lrun rmi`,
// `lrun image rm`, `lrun image remove`), its help, its page in docs/cli and the refusal of what lrun does not
// know. The frame reads the arguments itself, as Docker does (flags before or after operands, -qf VALUE,
// --name=VALUE), and hands them to urfave/cli in the one spelling that it cannot misread. Commands are made only
// when they are used: the frame costs the start of a process next to nothing.
package command

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
)

// Entry is one command: its names, how its arguments are read, and how it is made.
type Entry struct {
	// Top are its names right after `lrun`, the one that messages use first. None: it exists only in its group.
	Top []string
	// Sub are its names in its group (`ls`, `list`), the one that messages use first. None: it exists only on top.
	Sub []string
	// New makes the command: usage, flags and action. It is called only when the command runs, explains itself or
	// is documented, once for each, and must touch nothing. The names, the help flag and the reading of operands
	// are the frame's. A flag is asked for by its Name, never by an alias. Lines of the Description that begin
	// with two spaces are examples.
	New func(*env.Env) *cli.Command
	// Args says how many operands the command takes. The zero value is none.
	Args Arity
	// FlagsFirst ends the flags at the first operand: what follows belongs to somebody else (run, create, exec).
	FlagsFirst bool
	// OwnSignals leaves SIGINT, SIGTERM and SIGPIPE to the command. Otherwise the first two cancel the context
	// and a closed pipe on standard output ends the command with exit code 0.
	OwnSignals bool
	// ReadOnly says that the command changes nothing, so that SIGINT and SIGTERM may end it where it stands. To
	// listen for them costs half a millisecond, as much as all the rest of a short command.
	ReadOnly bool
	// Fail is the exit code of an error that carries none. Zero stands for 1.
	Fail int
	// Common lists the command among the common ones in `lrun --help`.
	Common bool
	// RefusedFlags says of flags that people know from Docker and the command has not what to do instead, keyed by
	// each spelling without dashes. Nil: none.
	RefusedFlags func() map[string]string
	// Hidden keeps the command out of help and documentation: lrun calls it itself.
	Hidden bool
}

// Group is a family of commands with a word of its own, such as image. The group with no name holds commands that
// exist only on top.
type Group struct {
	Name    string
	Usage   string
	Entries []Entry
}

// Arity is a number of operands. A Max below zero is no limit.
type Arity struct{ Min, Max int }

// AtLeast is n operands or more.
func AtLeast(n int) Arity { return Arity{Min: n, Max: -1} }

// AtMost is none to n operands.
func AtMost(n int) Arity { return Arity{Max: n} }

// Exactly is n operands.
func Exactly(n int) Arity { return Arity{Min: n, Max: n} }

// check returns a usage error when the command at path cannot take n operands.
func (a Arity) check(path string, n int) error {
	if n >= a.Min && (a.Max < 0 || n <= a.Max) {
		return nil
	}
	var want string
	switch {
	case a.Max == 0:
		want = "accepts no arguments"
	case a.Min == a.Max:
		want = fmt.Sprintf("requires %d %s", a.Min, plural(a.Min, "argument"))
	case n < a.Min:
		want = fmt.Sprintf("requires at least %d %s", a.Min, plural(a.Min, "argument"))
	default:
		want = fmt.Sprintf("requires at most %d %s", a.Max, plural(a.Max, "argument"))
	}
	return Exit(1, fmt.Errorf("'%s' %s; see '%s --help'", path, want, path))
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// form is one command as it was called: an entry under one of its names.
type form struct {
	app   *App
	home  *Group // where the entry is listed
	entry *Entry
	words []string // how it was called, without the program's name: "image", "rm"
}

// path is how the form was called, "lrun image rm".
func (f form) path() string { return f.app.Name + " " + strings.Join(f.words, " ") }

// paths are all ways to call the entry, the grouped ones first, as Docker lists them.
func (f form) paths() []string {
	var all []string
	for _, s := range f.entry.Sub {
		all = append(all, f.app.Name+" "+f.home.Name+" "+s)
	}
	for _, t := range f.entry.Top {
		all = append(all, f.app.Name+" "+t)
	}
	return all
}
