package command

import (
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

const wantHelp = `Usage:  lrun container rm [OPTIONS] THING...

record a call

Aliases:
  lrun container rm, lrun container remove, lrun rm

It keeps what it saw.

Examples:
  lrun rm -f web

Options:
  -e, --env list        set a variable
  -f, --force           kill first
  -h, --hostname NAME   set the NAME inside (default "box")
  -n, --last int        show a number (default -1)
      --wait duration   wait
`

func TestHelpOfACommand(t *testing.T) {
	for _, args := range [][]string{
		{"container", "rm", "--help"},
		{"container", "rm", "-f", "x", "--help"},
		{"help", "container", "rm"},
		{"container", "help", "rm"},
		{"--help", "container", "rm"},
	} {
		a := newTestApp()
		if code := a.main(t, args...); code != 0 || a.out.String() != wantHelp || len(a.calls) > 0 {
			t.Errorf("lrun %q: exit code %d, got\n%s%s", args, code, &a.out, &a.err)
		}
	}
}

const wantAppHelp = `Usage:  lrun [OPTIONS] COMMAND [ARG...]

test

Common commands:
  run         record a call

Management commands:
  container   manage containers
  image       manage images

Commands:
  ps          record a call
  rm          record a call
  tag         record a call

Global options:
`

func TestHelpOfTheProgram(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"-h"}, {"help"}, {"-D"}} {
		a := newTestApp()
		if code := a.main(t, args...); code != 0 || !strings.HasPrefix(a.out.String(), wantAppHelp) {
			t.Errorf("lrun %q: exit code %d, got\n%s%s", args, code, &a.out, &a.err)
		}
	}
}

const wantGroupHelp = `Usage:  lrun container COMMAND

manage containers

Commands:
  ls          record a call
  prune       record a call
  rm          record a call
  run         record a call

Run 'lrun container COMMAND --help' for more information on a command.
`

func TestHelpOfAGroup(t *testing.T) {
	for _, args := range []string{"container", "container --help", "container -h", "container help", "help container"} {
		a := newTestApp()
		if code := a.main(t, strings.Fields(args)...); code != 0 || a.out.String() != wantGroupHelp {
			t.Errorf("lrun %s: exit code %d, got\n%s%s", args, code, &a.out, &a.err)
		}
	}
}

func TestDescribe(t *testing.T) {
	tests := []struct {
		flag            cli.Flag
		spelling, usage string
	}{
		{&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "u"}, "-a, --all", "u"},
		{&cli.BoolFlag{Name: "human", Usage: "u", Value: true}, "    --human", "u (default true)"},
		{&cli.BoolFlag{Name: "v", Usage: "u"}, "-v", "u"},
		{&cli.StringFlag{Name: "x", Usage: "u"}, "-x string", "u"},
		{&cli.StringFlag{Name: "format", Usage: "use `T` here", Value: "a b"}, "    --format T", `use T here (default "a b")`},
		{&cli.StringFlag{Name: "root", Usage: "u", EnvVars: []string{"A", "B"}}, "    --root string", "u [$A, $B]"},
		{&cli.IntFlag{Name: "n", Usage: "one ` only"}, "-n int", "one ` only"},
		{&cli.Float64Flag{Name: "cpus", Usage: "u", Value: 1.5}, "    --cpus decimal", "u (default 1.5)"},
		{&cli.UintFlag{Name: "id", Usage: "u", DefaultText: "next"}, "    --id int", "u (default next)"},
		{&cli.GenericFlag{Name: "memory", Usage: "a `SIZE`"}, "    --memory SIZE", "a SIZE"},
		{&cli.StringSliceFlag{Name: "dns", Usage: "u", Value: cli.NewStringSlice("a", "b")}, "    --dns list", `u (default "a", "b")`},
	}
	for _, tt := range tests {
		got := describe(tt.flag)
		if got.spelling != tt.spelling || got.usage != tt.usage {
			t.Errorf("got %q %q, want %q %q", got.spelling, got.usage, tt.spelling, tt.usage)
		}
	}
}

func TestWrap(t *testing.T) {
	got := wrap("one two three\nfour averyveryverylongword five", 9)
	want := []string{"one two", "three", "four", "averyveryverylongword", "five"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q", got)
	}
	if got := wrap("", 9); len(got) != 1 || got[0] != "" {
		t.Errorf("got %q", got)
	}
}
