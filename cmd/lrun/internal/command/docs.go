package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Pages writes the documentation of every command of a that is not hidden, in Markdown, keyed by file name; the
// overview is README.md.
func Pages(a *App) map[string]string {
	pages := map[string]string{}
	var index [][2]string
	for i := range a.Groups {
		g := &a.Groups[i]
		for j := range g.Entries {
			f := form{app: a, home: g, entry: &g.Entries[j]}
			if f.entry.Hidden {
				continue
			}
			f.words = []string{g.Name}
			if len(f.entry.Top) > 0 {
				f.words = f.entry.Top[:1]
			} else {
				f.words = append(f.words, f.entry.Sub[0])
			}
			cmd := f.entry.New(a.Env)
			name := strings.Join(f.words, "-") + ".md"
			pages[name] = page(f, cmd)
			index = append(index, [2]string{fmt.Sprintf("[`%s`](%s)", f.path(), name), cmd.Usage})
		}
	}
	slices.SortFunc(index, func(x, y [2]string) int { return strings.Compare(x[0], y[0]) })
	pages["README.md"] = overview(a, index)
	return pages
}

const generated = "<!-- Written by `go test ./cmd/lrun -run TestDocs -update`; do not edit. -->\n\n"

// overview is the page about the program itself.
func overview(a *App, index [][2]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s# The command line of %s\n\n%s\n\n| command | what it does |\n|---|---|\n", generated, a.Name, cell(a.Usage))
	for _, line := range index {
		fmt.Fprintf(&b, "| %s | %s |\n", line[0], cell(line[1]))
	}
	b.WriteString("\nFlags may stand before or after operands, except behind the image of `run` and `create`, where they are the container's.\n")
	markdownFlags(&b, "Global options", a.globalFlags())
	return b.String()
}

// page is the page of one command.
func page(f form, cmd *cli.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s# %s\n\n%s\n\n```\n%s\n```\n", generated, f.path(), cell(cmd.Usage), usageLine(f.path(), cmd))
	others := slices.DeleteFunc(f.paths(), func(p string) bool { return p == f.path() })
	if len(others) > 0 {
		fmt.Fprintf(&b, "\nAlso: `%s`\n", strings.Join(others, "`, `"))
	}
	if cmd.Description != "" {
		b.WriteString("\n" + markdownText(cmd.Description))
	}
	markdownFlags(&b, "Options", cmd.Flags)
	return b.String()
}

// markdownText turns a description into Markdown: lines that begin with two spaces are code, the others are text,
// in which angle brackets are not tags.
func markdownText(text string) string {
	var b strings.Builder
	code := false
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if indented := strings.HasPrefix(line, "  "); indented != code {
			b.WriteString(map[bool]string{true: "```sh\n", false: "```\n"}[indented])
			code = indented
		}
		if code {
			b.WriteString(line[2:] + "\n")
		} else {
			b.WriteString(strings.ReplaceAll(line, "<", "&lt;") + "\n")
		}
	}
	if code {
		b.WriteString("```\n")
	}
	return strings.ReplaceAll(b.String(), ":\n```sh", ":\n\n```sh")
}

// markdownFlags writes a heading and a table of flags; nothing when there are none.
func markdownFlags(b *strings.Builder, heading string, flags []cli.Flag) {
	shown := sortedFlags(flags)
	if len(shown) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n| flag | meaning |\n|---|---|\n", heading)
	for _, f := range shown {
		t := describe(f)
		fmt.Fprintf(b, "| `%s` | %s |\n", strings.TrimSpace(t.spelling), cell(t.usage))
	}
}

// cell is text that does not end a table's cell, nor is taken for a tag.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(text)
}
