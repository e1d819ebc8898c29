package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
)

// call is one run of a test command: what its action saw.
type call struct {
	operands []string
	force    bool
	hostname string
	env      []string
	last     int
	wait     time.Duration
}

// testApp is an application whose commands record their calls; act, if any, is what they do.
type testApp struct {
	*App
	out, err bytes.Buffer
	calls    []call
	act      func(ctx context.Context) error
}

func newTestApp() *testApp {
	a := &testApp{}
	a.App = &App{
		Name: "lrun", Usage: "test", Version: func() string { return "lrun version 1" },
		Env: env.With(strings.NewReader(""), &a.out, &a.err),
		Groups: []Group{
			{Name: "container", Usage: "manage containers", Entries: []Entry{
				{Top: []string{"rm"}, Sub: []string{"rm", "remove"}, New: a.recorder, Args: AtLeast(1)},
				{Top: []string{"run"}, Sub: []string{"run"}, New: a.recorder, Args: AtLeast(1), FlagsFirst: true, OwnSignals: true, Fail: 125, Common: true},
				{Top: []string{"ps"}, Sub: []string{"ls", "ps"}, New: a.recorder},
				{Sub: []string{"prune"}, New: a.recorder},
			}},
			{Name: "image", Usage: "manage images", Entries: []Entry{
				{Sub: []string{"prune"}, New: a.recorder, Args: AtMost(1)},
			}},
			{Entries: []Entry{
				{Top: []string{"tag"}, New: a.recorder, Args: Exactly(2)},
				{Top: []string{"secret-program"}, New: a.recorder, Hidden: true, Args: AtLeast(0), FlagsFirst: true},
			}},
		},
		Refused:      map[string]string{"push": "use a truck", "system prune": "sweep", "rm": "the table has precedence"},
		RefusedFlags: map[string]string{"host": "no daemon", "H": "no daemon"},
	}
	return a
}

func (a *testApp) recorder(e *env.Env) *cli.Command {
	var o call
	var vars cli.StringSlice
	return &cli.Command{
		Usage: "record a call", ArgsUsage: "THING...",
		Description: "It keeps what it saw.\n\nExamples:\n  lrun rm -f web",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "kill first", Destination: &o.force},
			&cli.StringFlag{Name: "hostname", Aliases: []string{"h"}, Usage: "set the `NAME` inside", Value: "box", Destination: &o.hostname},
			&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "set a variable", Destination: &vars},
			&cli.IntFlag{Name: "last", Aliases: []string{"n"}, Usage: "show a number", Value: -1, Destination: &o.last},
			&cli.DurationFlag{Name: "wait", Usage: "wait", Destination: &o.wait},
			&cli.BoolFlag{Name: "hidden", Hidden: true},
		},
		Action: func(c *cli.Context) error {
			o.operands, o.env = c.Args().Slice(), vars.Value()
			a.calls = append(a.calls, o)
			if a.act != nil {
				return a.act(c.Context)
			}
			return nil
		},
	}
}

func (a *testApp) main(t *testing.T, args ...string) int {
	t.Helper()
	return a.Main(t.Context(), append([]string{"lrun"}, args...))
}

// only returns the one call that args make.
func only(t *testing.T, args ...string) call {
	t.Helper()
	a := newTestApp()
	if code := a.main(t, args...); code != 0 || len(a.calls) != 1 {
		t.Fatalf("lrun %q: exit code %d, %d calls, stderr %s", args, code, len(a.calls), &a.err)
	}
	if a.out.Len()+a.err.Len() > 0 {
		t.Errorf("lrun %q wrote %q and %q", args, &a.out, &a.err)
	}
	return a.calls[0]
}

// The four traps of urfave/cli v2, and three more.

func TestFlagsMayFollowOperands(t *testing.T) {
	got := only(t, "rm", "c1", "--force", "c2")
	if !got.force || !slices.Equal(got.operands, []string{"c1", "c2"}) {
		t.Errorf("got %+v", got)
	}
}

func TestFlagsAfterTheImageOfRunBelongToTheContainer(t *testing.T) {
	got := only(t, "run", "-e", "A=1", "busybox", "rm", "--force", "-h", "--help", "--", "x")
	if got.force || !slices.Equal(got.operands, []string{"busybox", "rm", "--force", "-h", "--help", "--", "x"}) {
		t.Errorf("got %+v", got)
	}
}

func TestValuesOfListsKeepCommasAndSpaces(t *testing.T) {
	got := only(t, "rm", "-e", "A=1,B=2", "--env", " C= x ", "-eD", "--env=", "c1")
	if want := []string{"A=1,B=2", " C= x ", "D", ""}; !slices.Equal(got.env, want) {
		t.Errorf("got %q, want %q", got.env, want)
	}
}

func TestOperandsAreNeverCommands(t *testing.T) {
	for _, word := range []string{"help", "h", "rm", "force", "-", ""} {
		if got := only(t, "rm", "--force", word); !slices.Equal(got.operands, []string{word}) {
			t.Errorf("rm %s: got %+v", word, got)
		}
	}
	if got := only(t, "rm", "--", "--help"); !slices.Equal(got.operands, []string{"--help"}) {
		t.Errorf("got %+v", got)
	}
}

func TestExitCodesDoNotEndTheProcess(t *testing.T) {
	tests := []struct {
		name string
		err  error
		code int
		text string
	}{
		{"cli's own exit, which is not ours", cli.Exit("bye", 42), 1, "lrun: bye\n"},
		{"the frame's", Exit(127, errors.New("no such file")), 127, "lrun: no such file\n"},
		{"a container's", Exit(3, nil), 3, ""},
		{"wrapped", fmt.Errorf("start: %w", Exit(126, errors.New("denied"))), 126, "lrun: start: denied\n"},
		{"any other", errors.New("x"), 1, "lrun: x\n"},
		{"none", nil, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newTestApp()
			a.act = func(context.Context) error { return tt.err }
			if code := a.main(t, "rm", "x"); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if a.err.String() != tt.text {
				t.Errorf("stderr %q, want %q", &a.err, tt.text)
			}
		})
	}
}

func TestShortFlagOfTheCommandIsNotHelp(t *testing.T) {
	if got := only(t, "rm", "-h", "true", "x"); got.hostname != "true" {
		t.Errorf("got %+v", got)
	}
}

func TestDefaultsHold(t *testing.T) {
	if got := only(t, "ps"); got.hostname != "box" || got.last != -1 || got.force || got.env != nil {
		t.Errorf("got %+v", got)
	}
	if got := only(t, "ps", "-fn3", "--wait=2s", "--hostname="); got.last != 3 || !got.force || got.wait != 2*time.Second || got.hostname != "" {
		t.Errorf("got %+v", got)
	}
}

// One entry, all of Docker's forms.
func TestForms(t *testing.T) {
	for _, form := range []string{"rm", "container rm", "container remove"} {
		args := append(strings.Fields(form), "c1", "-f")
		if got := only(t, args...); !got.force || !slices.Equal(got.operands, []string{"c1"}) {
			t.Errorf("%s: got %+v", form, got)
		}
	}
	a := newTestApp()
	if code := a.main(t, "remove", "x"); code != 1 || len(a.calls) > 0 {
		t.Errorf("lrun remove is no command of Docker's: exit code %d, calls %v", code, a.calls)
	}
}

func TestGlobalFlags(t *testing.T) {
	t.Setenv("LRUN_STATE", "/from/env")
	a := newTestApp()
	if code := a.main(t, "--root", "/r", "--debug", "rm", "--force", "--root"); code != 125 {
		t.Errorf("a global flag after the command: exit code %d", code)
	}
	if code := a.main(t, "--root=/r", "-D", "rm", "x"); code != 0 || a.Env.Root() != "/r" || a.Env.State() != "/from/env" || !a.Env.Debug() {
		t.Errorf("exit code %d, root %s, state %s, stderr %s", code, a.Env.Root(), a.Env.State(), &a.err)
	}
}

func TestHiddenCommandsRun(t *testing.T) {
	if got := only(t, "secret-program", "x", "--force"); got.force || len(got.operands) != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestVersionFlag(t *testing.T) {
	for _, arg := range []string{"-v", "--version"} {
		a := newTestApp()
		if code := a.main(t, arg, "rm"); code != 0 || a.out.String() != "lrun version 1\n" || len(a.calls) > 0 {
			t.Errorf("%s: exit code %d, stdout %q", arg, code, &a.out)
		}
	}
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		args string
		code int
		want string
	}{
		{"rm --frce x", 125, "unknown flag: --frce; did you mean --force?; see 'lrun rm --help'"},
		{"container rm -x", 125, "unknown shorthand flag: 'x' in -x; see 'lrun container rm --help'"},
		{"rm --last", 125, "flag needs an argument: --last; see 'lrun rm --help'"},
		{"rm --last many x", 125, `invalid value "many" for flag --last: parse error; see 'lrun rm --help'`},
		{"rm --force=perhaps x", 125, `invalid value "perhaps" for flag --force: parse error; see 'lrun rm --help'`},
		{"rm", 1, "'lrun rm' requires at least 1 argument; see 'lrun rm --help'"},
		{"run", 1, "'lrun run' requires at least 1 argument; see 'lrun run --help'"},
		{"ps a", 1, "'lrun ps' accepts no arguments; see 'lrun ps --help'"},
		{"image prune a b", 1, "'lrun image prune' requires at most 1 argument; see 'lrun image prune --help'"},
		{"tag a", 1, "'lrun tag' requires 2 arguments; see 'lrun tag --help'"},
		{"tga a b", 1, `unknown command "lrun tga"; did you mean 'lrun tag'?`},
		{"containr ls", 1, `unknown command "lrun containr"; did you mean 'lrun container'?`},
		{"container sl", 1, `unknown command "lrun container sl"; did you mean 'lrun container ls'?`},
		{"secret-progra", 1, `unknown command "lrun secret-progra"; see 'lrun --help'`},
		{"frobnicate", 1, `unknown command "lrun frobnicate"; see 'lrun --help'`},
		{"container frobnicate", 1, `unknown command "lrun container frobnicate"; see 'lrun container --help'`},
		{"container --all", 125, "unknown flag: --all; see 'lrun container --help'"},
		{"push x", 1, "'lrun push' is not in this version: use a truck"},
		{"image push x", 1, "'lrun push' is not in this version: use a truck"},
		{"system prune", 1, "'lrun system prune' is not in this version: sweep"},
		{"--host x ps", 125, "flag --host is not supported: no daemon"},
		{"-H", 125, "flag -H is not supported: no daemon"},
		{"--nope ps", 125, "unknown flag: --nope; see 'lrun --help'"},
		{"--root", 125, "flag needs an argument: --root; see 'lrun --help'"},
		{"--debug=perhaps ps", 125, `invalid value "perhaps" for flag --debug: parse error; see 'lrun --help'`},
		{"help frobnicate", 1, `unknown command "lrun frobnicate"; see 'lrun --help'`},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			a := newTestApp()
			code := a.main(t, strings.Fields(tt.args)...)
			if code != tt.code || a.err.String() != "lrun: "+tt.want+"\n" {
				t.Errorf("exit code %d, want %d\ngot  %swant lrun: %s", code, tt.code, &a.err, tt.want)
			}
			if len(a.calls) > 0 || a.out.Len() > 0 {
				t.Errorf("the command was called or wrote %q", &a.out)
			}
		})
	}
}

func TestFailIsTheCodeOfPlainErrors(t *testing.T) {
	a := newTestApp()
	a.act = func(context.Context) error { return errors.New("x") }
	if code := a.main(t, "run", "busybox"); code != 125 {
		t.Errorf("exit code %d", code)
	}
	a.act = func(context.Context) error { return Exit(7, nil) }
	if code := a.main(t, "run", "busybox"); code != 7 {
		t.Errorf("exit code %d", code)
	}
}

func TestInterrupt(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		a := newTestApp()
		a.act = func(ctx context.Context) error {
			if err := syscall.Kill(os.Getpid(), sig); err != nil {
				return err
			}
			<-ctx.Done()
			return errors.Join(fmt.Errorf("unpack: %w", ctx.Err()), errors.New("clean up: busy"))
		}
		code := a.main(t, "rm", "x")
		want := fmt.Sprintf("lrun: stopped by signal: %s\nlrun: clean up: busy\n", sig)
		if code != 128+int(sig) || a.err.String() != want {
			t.Errorf("%s: exit code %d, stderr %q", sig, code, &a.err)
		}
	}
}

func TestClosedPipeIsNoError(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	a := newTestApp()
	a.Env.Out = env.Output(w)
	write := func() error {
		_, err := fmt.Fprintln(a.Env.Out, "row")
		return err
	}
	a.Groups[0].Entries[2].ReadOnly = true
	if code := a.main(t, "ps"); code != 0 || len(a.calls) != 1 {
		t.Errorf("exit code %d", code)
	}
	a.act = func(context.Context) error { return write() }
	if code := a.main(t, "ps"); code != 0 || a.err.Len() > 0 {
		t.Errorf("exit code %d, stderr %q", code, &a.err)
	}
	a.act = func(context.Context) error { return errors.Join(write(), errors.New("x")) }
	if code := a.main(t, "rm", "x"); code != 1 || a.err.String() != "lrun: x\n" {
		t.Errorf("exit code %d, stderr %q", code, &a.err)
	}
}

// Only standard output itself shows the signal that kills who writes to a closed pipe.
func TestClosedStandardOutput(t *testing.T) {
	const variable = "LRUN_TEST_COMMAND_LINE"
	if line := os.Getenv(variable); line != "" {
		a := newTestApp()
		a.Env.Out = env.Output(os.Stdout)
		a.act = func(context.Context) error {
			_, err := fmt.Fprintln(a.Env.Out, "row")
			return err
		}
		os.Exit(a.main(t, strings.Fields(line)...))
	}
	for _, line := range []string{"rm x", "ps", "--version", "--help", "help rm", "image"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestClosedStandardOutput$")
		child.Env = append(os.Environ(), variable+"="+line)
		child.Stdout = w
		if err := child.Run(); err != nil {
			t.Errorf("lrun %s: %v", line, err)
		}
		w.Close()
	}
}
