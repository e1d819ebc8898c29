package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
)

// App is the whole command line.
type App struct {
	Name    string
	Usage   string
	Version func() string // what --version prints
	Env     *env.Env
	Groups  []Group
	// Refused says of words that people know from Docker what to do instead, keyed "push" or "system prune". An
	// entry of the table takes precedence.
	Refused map[string]string
	// RefusedFlags says the same of global flags, keyed by each spelling without dashes.
	RefusedFlags map[string]string
}

// Main runs one command line (args[0] is the program) and returns the exit code of the process, with the error
// shown on standard error.
func (a *App) Main(ctx context.Context, args []string) int {
	err := a.Run(ctx, args)
	if parts(err) != nil {
		Report(a.Env.Err, a.Name, err)
	}
	return Code(err, 1)
}

// Run runs one command line. Nothing is shown of the error that it returns. That nobody reads standard output any
// more is none.
func (a *App) Run(ctx context.Context, args []string) error {
	return without(a.dispatch(ctx, args), env.ErrOutClosed)
}

// ignoreClosedPipe makes writing to a closed pipe an error instead of death. It is never taken back: Go would start a thread for
// that, which costs a command as much as all its arguments.
func ignoreClosedPipe() { signal.Ignore(syscall.SIGPIPE) }

// dispatch finds out what a command line asks for, and does it.
func (a *App) dispatch(ctx context.Context, args []string) error {
	global, err := a.globals(args[1:])
	if err != nil {
		return err
	}
	switch {
	case global.version:
		ignoreClosedPipe()
		_, err := fmt.Fprintln(a.Env.Out, a.Version())
		return err
	case len(global.operands) == 0:
		return a.showHelp(nil)
	case global.operands[0] == "help":
		return a.showHelp(global.operands[1:])
	case global.help:
		return a.showHelp(global.operands)
	}
	f, rest, err := a.find(global.operands)
	if err != nil {
		return err
	}
	if f.entry == nil {
		return a.showHelp(f.words)
	}
	return a.call(ctx, f, global.flags, rest)
}

// globalArguments are the command line up to the command's name, which is the first operand.
type globalArguments struct {
	arguments
	version bool
}

// globals reads the flags before the command's name.
func (a *App) globals(args []string) (globalArguments, error) {
	specs := specsOf(a.globalFlags())
	for name := range a.RefusedFlags {
		specs[name] = flagSpec{name: name, isSwitch: true} // refused before any value matters
	}
	read, err := specs.read(args, true)
	out := globalArguments{arguments: arguments{operands: read.operands, help: read.help}}
	for _, f := range read.flags {
		name, value, _ := strings.Cut(strings.TrimPrefix(f, "--"), "=")
		if advice, refused := a.RefusedFlags[name]; refused {
			return out, Exit(125, fmt.Errorf("flag %s is not supported: %s", dashed(name), advice))
		}
		if name == "version" {
			out.version = value == "true"
			continue
		}
		out.flags = append(out.flags, f)
	}
	if err != nil {
		return out, Exit(125, fmt.Errorf("%w; see '%s --help'", err, a.Name))
	}
	return out, nil
}

// globalFlags are the flags before the command's name.
func (a *App) globalFlags() []cli.Flag {
	return append(a.Env.Flags(),
		&cli.BoolFlag{Name: "version", Aliases: []string{"v"}, Usage: "print the version and quit"})
}

// find looks a command up by its first words and returns the arguments after them. A form without an entry is a
// group's name alone.
func (a *App) find(words []string) (form, []string, error) {
	for i := range a.Groups {
		g := &a.Groups[i]
		for j := range g.Entries {
			if slices.Contains(g.Entries[j].Top, words[0]) {
				return form{app: a, home: g, entry: &g.Entries[j], words: words[:1]}, words[1:], nil
			}
		}
	}
	g := a.group(words[0])
	if g == nil {
		return form{}, nil, a.unknown(words, 0, a.topWords())
	}
	if len(words) == 1 || words[1] == "--help" || words[1] == "-h" {
		return form{app: a, home: g, words: words[:1]}, nil, nil
	}
	if words[1] == "help" {
		return form{app: a, home: g, words: slices.Concat(words[:1], words[2:])}, nil, nil
	}
	if strings.HasPrefix(words[1], "-") {
		return form{}, nil, Exit(125, fmt.Errorf("unknown flag: %s; see '%s %s --help'", words[1], a.Name, g.Name))
	}
	for j := range g.Entries {
		if slices.Contains(g.Entries[j].Sub, words[1]) {
			return form{app: a, home: g, entry: &g.Entries[j], words: words[:2]}, words[2:], nil
		}
	}
	return form{}, nil, a.unknown(words, 1, g.words())
}

// group returns the group of a name, nil when there is none.
func (a *App) group(name string) *Group {
	for i := range a.Groups {
		if g := &a.Groups[i]; g.Name == name && name != "" {
			return g
		}
	}
	return nil
}

// topWords are the words that may follow the program's name, for people to choose from.
func (a *App) topWords() []string {
	var all []string
	for _, g := range a.Groups {
		if g.Name != "" {
			all = append(all, g.Name)
		}
		for _, e := range g.Entries {
			if !e.Hidden {
				all = append(all, e.Top...)
			}
		}
	}
	return all
}

// words are all words that may follow the group's name.
func (g *Group) words() []string {
	var all []string
	for _, e := range g.Entries {
		all = append(all, e.Sub...)
	}
	return all
}

// unknown is the error about words of which the one at wrong is no command: what to do instead when people know it
// from Docker, otherwise what was probably meant.
func (a *App) unknown(words []string, wrong int, candidates []string) error {
	known := []string{strings.Join(words[:min(2, len(words))], " "), words[wrong]}
	for _, w := range known {
		if advice, ok := a.Refused[w]; ok {
			return fmt.Errorf("'%s %s' is not in this version: %s", a.Name, w, advice)
		}
	}
	before := strings.Join(append([]string{a.Name}, words[:wrong]...), " ")
	if best := nearest(words[wrong], candidates); best != "" {
		return fmt.Errorf("unknown command %q; did you mean '%s %s'?", before+" "+words[wrong], before, best)
	}
	return fmt.Errorf("unknown command %q; see '%s --help'", before+" "+words[wrong], before)
}

// call runs the command of a form with the flags read so far and the arguments after its name.
func (a *App) call(ctx context.Context, f form, global, args []string) error {
	cmd := f.entry.New(a.Env)
	read, err := f.entry.read(specsOf(cmd.Flags), args)
	if err != nil {
		return Exit(125, fmt.Errorf("%w; see '%s --help'", err, f.path()))
	}
	if read.help {
		return a.showCommand(f)
	}
	if err := f.entry.Args.check(f.path(), len(read.operands)); err != nil {
		return err
	}
	prepare(cmd, f.words[0])
	cmd.Flags = needed(cmd.Flags, read.flags)
	runner := a.runner(cmd, f, global)
	line := slices.Concat([]string{a.Name}, global, []string{cmd.Name}, read.canonical())
	run := func(ctx context.Context) error { return withCode(runner.RunContext(ctx, line), f.entry.Fail) }
	if !f.entry.OwnSignals {
		ignoreClosedPipe()
		if !f.entry.ReadOnly {
			run = interruptible(run)
		}
	}
	return run(ctx)
}

// runner is the urfave/cli application that knows one command only and does nothing on its own: no help, no
// version, no exit, no output.
func (a *App) runner(cmd *cli.Command, f form, global []string) *cli.App {
	usage := func(_ *cli.Context, err error, ofCommand bool) error {
		path := a.Name
		if ofCommand {
			path = f.path()
		}
		return Exit(125, fmt.Errorf("%s; see '%s --help'", flagMessage(err), path))
	}
	cmd.OnUsageError = usage
	return &cli.App{
		Name:                      a.Name,
		Usage:                     a.Usage,
		Flags:                     needed(a.Env.Flags(), global),
		Commands:                  []*cli.Command{cmd},
		HideHelp:                  true,
		HideVersion:               true,
		DisableSliceFlagSeparator: true,
		OnUsageError:              usage,
		ExitErrHandler:            func(*cli.Context, error) {},
		Reader:                    a.Env.In,
		Writer:                    io.Discard,
		ErrWriter:                 io.Discard,
		Compiled:                  time.Unix(1, 0), // else it looks the program up on disk
	}
}

// prepare makes a command safe to run under name: every operand reaches it, whatever its text, and every flag has
// one spelling, the one that reading the arguments leaves. An alias h would be taken for a call for help.
func prepare(cmd *cli.Command, name string) {
	cmd.Name = name
	cmd.Aliases = nil
	cmd.HideHelp = true
	cmd.HideHelpCommand = true
	for _, f := range cmd.Flags {
		switch f := f.(type) {
		case *cli.BoolFlag:
			f.Aliases = nil
		case *cli.StringFlag:
			f.Aliases = nil
		case *cli.StringSliceFlag:
			f.Aliases, f.KeepSpace = nil, true
		case *cli.IntFlag:
			f.Aliases = nil
		case *cli.Int64Flag:
			f.Aliases = nil
		case *cli.UintFlag:
			f.Aliases = nil
		case *cli.Float64Flag:
			f.Aliases = nil
		case *cli.DurationFlag:
			f.Aliases = nil
		case *cli.GenericFlag:
			f.Aliases = nil
		}
	}
}

// flagMessage is what package flag says about a value, with the dashes as people type them.
func flagMessage(err error) string {
	return strings.NewReplacer(" boolean value ", " value ", " for flag -", " for flag --", " for -", " for flag --").Replace(err.Error())
}

// withCode gives an error that asks for no exit code the one of its command.
func withCode(err error, code int) error {
	if err == nil || code == 0 || Code(err, -1) != -1 {
		return err
	}
	return Exit(code, err)
}

// interruptible makes a function that calls fn with a context that SIGINT or SIGTERM cancels; a second one ends the
// process.
func interruptible(fn func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
		defer signal.Stop(signals)
		go func() {
			select {
			case s := <-signals:
				signal.Stop(signals)
				cancel(signalError{s})
			case <-ctx.Done():
			}
		}()
		err := fn(ctx)
		if s, stopped := errors.AsType[signalError](context.Cause(ctx)); stopped && err != nil {
			return Exit(s.code(), errors.Join(s, without(without(err, s), context.Canceled)))
		}
		return err
	}
}
