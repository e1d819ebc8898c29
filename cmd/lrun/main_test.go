package main

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/command"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
)

var update = flag.Bool("update", false, "write docs/cli anew")

func testApp() (*command.App, *bytes.Buffer, *bytes.Buffer) {
	var out, err bytes.Buffer
	return app(env.With(strings.NewReader(""), &out, &err)), &out, &err
}

// forms calls fn with the words of each way to call each command.
func forms(a *command.App, fn func(words string, e command.Entry)) {
	for _, g := range a.Groups {
		for _, e := range g.Entries {
			for _, w := range e.Top {
				fn(w, e)
			}
			for _, w := range e.Sub {
				fn(g.Name+" "+w, e)
			}
		}
	}
}

func TestDocs(t *testing.T) {
	dir := filepath.Join("..", "..", "docs", "cli")
	a, _, _ := testApp()
	pages := command.Pages(a)
	if *update {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range pages {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	have, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range have {
		if _, ok := pages[filepath.Base(path)]; ok {
			continue
		}
		t.Errorf("%s is about no command: delete it", path)
	}
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(text) != pages[name] {
			t.Errorf("docs/cli/%s is not what the command says: run go test ./cmd/lrun -run TestDocs -update (%v)", name, err)
		}
	}
}

func TestTable(t *testing.T) {
	a, _, _ := testApp()
	seen := map[string]bool{}
	forms(a, func(words string, e command.Entry) {
		if seen[words] {
			t.Errorf("lrun %s is there twice", words)
		}
		seen[words] = true
		cmd := e.New(a.Env)
		if cmd.Usage == "" || cmd.Action == nil {
			t.Errorf("lrun %s has no usage or no action", words)
		}
		if (e.Args.Max != 0) != (cmd.ArgsUsage != "") && !e.Hidden {
			t.Errorf("lrun %s: %q does not say what %+v allows", words, cmd.ArgsUsage, e.Args)
		}
		if cmd.Subcommands != nil || cmd.Before != nil || cmd.After != nil || cmd.Name != "" || cmd.Aliases != nil {
			t.Errorf("lrun %s sets what is the frame's", words)
		}
		refused := map[string]string{}
		if e.RefusedFlags != nil {
			refused = e.RefusedFlags()
		}
		checkFlags(t, words, cmd.Flags, refused)
	})
	for word := range a.Refused {
		if seen[word] {
			t.Errorf("lrun %s is a command: take it out of refused.go", word)
		}
	}
}

// checkFlags holds flags to what the frame counts on.
func checkFlags(t *testing.T, words string, flags []cli.Flag, refused map[string]string) {
	t.Helper()
	seen := map[string]bool{}
	for _, f := range flags {
		doc, ok := f.(cli.DocGenerationFlag)
		if !ok || doc.GetUsage() == "" {
			t.Errorf("lrun %s --%s: no usage", words, f.Names()[0])
		}
		switch f.(type) {
		case *cli.BoolFlag, *cli.StringFlag, *cli.StringSliceFlag, *cli.IntFlag, *cli.Int64Flag, *cli.UintFlag, *cli.Float64Flag, *cli.DurationFlag, *cli.GenericFlag:
		default:
			t.Errorf("lrun %s --%s: the frame does not know flags of type %T", words, f.Names()[0], f)
		}
		for _, n := range f.Names() {
			if seen[n] || n == "help" {
				t.Errorf("lrun %s: --%s is there twice", words, n)
			}
			if _, ok := refused[n]; ok {
				t.Errorf("lrun %s: --%s is both there and refused", words, n)
			}
			seen[n] = true
		}
	}
}

// Without root, and without any disk, version and help work.
func TestHelpOfEveryForm(t *testing.T) {
	a, out, stderr := testApp()
	a.Env.UID = func() int { return 1000 }
	forms(a, func(words string, e command.Entry) {
		if e.Hidden {
			return
		}
		out.Reset()
		stderr.Reset()
		args := append([]string{"lrun", "--root=/nonexistent/root"}, strings.Fields(words)...)
		if code := a.Main(t.Context(), append(args, "--help")); code != 0 || stderr.Len() > 0 {
			t.Errorf("lrun %s --help: exit code %d, stderr %s", words, code, stderr)
		}
		if !strings.HasPrefix(out.String(), "Usage:  lrun "+words) {
			t.Errorf("lrun %s --help: got\n%s", words, out)
		}
	})
	for _, args := range [][]string{{"lrun"}, {"lrun", "version"}, {"lrun", "--version"}, {"lrun", "image"}, {"lrun", "help", "system"}} {
		if code := a.Main(t.Context(), args); code != 0 {
			t.Errorf("%q: exit code %d, stderr %s", args, code, stderr)
		}
	}
}

func TestWithoutRoot(t *testing.T) {
	for _, args := range []string{"images", "load -i x", "rmi x", "info", "inspect x", "image inspect x", "tag a b", "history x", "import x", "ps", "rm x", "kill x", "run x", "create x", "start -a x", "export x"} {
		a, out, stderr := testApp()
		a.Env.UID = func() int { return 1000 }
		root := filepath.Join(t.TempDir(), "root")
		code := a.Main(t.Context(), append([]string{"lrun", "--root", root}, strings.Fields(args)...))
		want := 1
		if strings.HasPrefix(args, "run") || strings.HasPrefix(args, "create") {
			want = 125
		}
		if code != want || stderr.String() != "lrun: lrun needs root for this: run it with sudo\n" {
			t.Errorf("lrun %s: exit code %d, stdout %q, stderr %q", args, code, out, stderr)
		}
		if _, err := os.Lstat(root); err == nil {
			t.Errorf("lrun %s made its root", args)
		}
	}
}

func TestRefused(t *testing.T) {
	a, _, stderr := testApp()
	for words, advice := range a.Refused {
		stderr.Reset()
		if code := a.Main(t.Context(), append([]string{"lrun"}, append(strings.Fields(words), "--any", "x")...)); code != 1 {
			t.Errorf("lrun %s: exit code %d", words, code)
		}
		if !strings.Contains(stderr.String(), "is not in this version: "+advice) || advice == "" {
			t.Errorf("lrun %s: %s", words, stderr)
		}
	}
	for name, advice := range a.RefusedFlags {
		stderr.Reset()
		dashes := strings.Repeat("-", min(2, len(name)))
		if code := a.Main(t.Context(), []string{"lrun", dashes + name, "x", "ps"}); code != 125 || !strings.Contains(stderr.String(), advice) {
			t.Errorf("lrun %s: exit code %d, %s", name, code, stderr)
		}
	}
}
