package command

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// helpWidth is the column at which the text of flags is wrapped.
const helpWidth = 80

// showHelp shows the help of the command, group or program that words name.
func (a *App) showHelp(words []string) error {
	if len(words) == 0 {
		return a.showApp()
	}
	f, _, err := a.find(words)
	if err != nil {
		return err
	}
	if f.entry == nil {
		return a.showGroup(f.home)
	}
	return a.showCommand(f)
}

// showApp shows the help of the program: the commands by kind, and the global flags.
func (a *App) showApp() error {
	ignoreClosedPipe()
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:  %s [OPTIONS] COMMAND [ARG...]\n\n%s\n", a.Name, a.Usage)
	var common, rest, groups [][2]string
	for i := range a.Groups {
		g := &a.Groups[i]
		if g.Name != "" {
			groups = append(groups, [2]string{g.Name, g.Usage})
		}
		for j := range g.Entries {
			e := &g.Entries[j]
			if len(e.Top) == 0 || e.Hidden {
				continue
			}
			line := [2]string{e.Top[0], e.New(a.Env).Usage}
			if e.Common {
				common = append(common, line)
			} else {
				rest = append(rest, line)
			}
		}
	}
	writeList(&b, "Common commands", common)
	writeList(&b, "Management commands", groups)
	writeList(&b, "Commands", rest)
	writeFlags(&b, "Global options", a.globalFlags())
	fmt.Fprintf(&b, "\nRun '%s COMMAND --help' for more information on a command.\n", a.Name)
	_, err := io.WriteString(a.Env.Out, b.String())
	return err
}

// showGroup shows the help of a group: its commands.
func (a *App) showGroup(g *Group) error {
	ignoreClosedPipe()
	var b strings.Builder
	path := a.Name + " " + g.Name
	fmt.Fprintf(&b, "Usage:  %s COMMAND\n\n%s\n", path, g.Usage)
	var lines [][2]string
	for i := range g.Entries {
		if e := &g.Entries[i]; len(e.Sub) > 0 && !e.Hidden {
			lines = append(lines, [2]string{e.Sub[0], e.New(a.Env).Usage})
		}
	}
	writeList(&b, "Commands", lines)
	fmt.Fprintf(&b, "\nRun '%s COMMAND --help' for more information on a command.\n", path)
	_, err := io.WriteString(a.Env.Out, b.String())
	return err
}

// showCommand shows the help of one command.
func (a *App) showCommand(f form) error {
	ignoreClosedPipe()
	var b strings.Builder
	writeCommand(&b, f, f.entry.New(a.Env))
	_, err := io.WriteString(a.Env.Out, b.String())
	return err
}

// writeCommand writes what `--help` shows of a command.
func writeCommand(b *strings.Builder, f form, cmd *cli.Command) {
	fmt.Fprintf(b, "Usage:  %s\n\n%s\n", usageLine(f.path(), cmd), cmd.Usage)
	if paths := f.paths(); len(paths) > 1 {
		fmt.Fprintf(b, "\nAliases:\n  %s\n", strings.Join(paths, ", "))
	}
	if cmd.Description != "" {
		fmt.Fprintf(b, "\n%s\n", strings.TrimSpace(cmd.Description))
	}
	writeFlags(b, "Options", cmd.Flags)
}

// usageLine is the command as it is typed, "lrun rmi [OPTIONS] IMAGE [IMAGE...]".
func usageLine(path string, cmd *cli.Command) string {
	if len(cmd.Flags) > 0 {
		path += " [OPTIONS]"
	}
	return strings.TrimSpace(path + " " + cmd.ArgsUsage)
}

// writeList writes a heading and lines of a name and its meaning, sorted by name; nothing when there are no lines.
func writeList(b *strings.Builder, heading string, lines [][2]string) {
	if len(lines) == 0 {
		return
	}
	slices.SortFunc(lines, func(x, y [2]string) int { return strings.Compare(x[0], y[0]) })
	width := 10
	for _, l := range lines {
		width = max(width, len(l[0]))
	}
	fmt.Fprintf(b, "\n%s:\n", heading)
	for _, l := range lines {
		fmt.Fprintf(b, "  %-*s  %s\n", width, l[0], l[1])
	}
}

// flagText is a flag as help and documentation show it.
type flagText struct {
	spelling string // "-f, --force", "    --format string"
	usage    string
}

// describe renders a flag: short spelling first, the value's name from the backquoted word of its usage or its
// type, and its default unless that is the type's empty value.
func describe(flag cli.Flag) flagText {
	doc, ok := flag.(cli.DocGenerationFlag)
	if !ok {
		return flagText{spelling: strings.Join(flag.Names(), ", ")}
	}
	var short, long string
	for _, n := range flag.Names() {
		switch {
		case len(n) == 1 && short == "":
			short = dashed(n)
		case len(n) > 1 && long == "":
			long = dashed(n)
		}
	}
	t := flagText{spelling: strings.TrimPrefix(short+", "+long, ", ")}
	switch {
	case long == "":
		t.spelling = short
	case short == "":
		t.spelling = "    " + long
	}
	value, usage := unquote(doc)
	if value != "" {
		t.spelling += " " + value
	}
	t.usage = usage
	if d := defaultText(doc); d != "" {
		t.usage += " (default " + d + ")"
	}
	if vars := doc.GetEnvVars(); len(vars) > 0 {
		t.usage += " [$" + strings.Join(vars, ", $") + "]"
	}
	return t
}

// unquote splits the usage of a flag into the name of its value and the text.
func unquote(flag cli.DocGenerationFlag) (value, usage string) {
	usage = flag.GetUsage()
	if before, rest, ok := strings.Cut(usage, "`"); ok {
		if name, after, ok := strings.Cut(rest, "`"); ok {
			return name, before + name + after
		}
	}
	switch flag.(type) {
	case *cli.BoolFlag:
		return "", usage
	case *cli.IntFlag, *cli.Int64Flag, *cli.UintFlag:
		return "int", usage
	case *cli.Float64Flag:
		return "decimal", usage
	case *cli.DurationFlag:
		return "duration", usage
	case *cli.StringSliceFlag:
		return "list", usage
	}
	return "string", usage
}

// defaultText is the default of a flag as help shows it; "" for none and for the empty value of its type.
func defaultText(flag cli.DocGenerationFlag) string {
	switch f := flag.(type) {
	case *cli.BoolFlag:
		if f.DefaultText != "" || !f.Value {
			return f.DefaultText
		}
		return "true"
	case *cli.GenericFlag:
		return f.DefaultText
	}
	switch d := flag.GetDefaultText(); d {
	case "0", `""`, "0s":
		return ""
	default:
		return d
	}
}

// writeFlags writes a heading and the visible flags, sorted by their long names; nothing when there are none.
func writeFlags(b *strings.Builder, heading string, flags []cli.Flag) {
	var texts []flagText
	width := 0
	for _, f := range sortedFlags(flags) {
		t := describe(f)
		texts = append(texts, t)
		width = max(width, len(t.spelling))
	}
	if len(texts) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s:\n", heading)
	for _, t := range texts {
		lines := wrap(t.usage, max(helpWidth-width-5, 30))
		fmt.Fprintf(b, "  %-*s   %s\n", width, t.spelling, lines[0])
		for _, l := range lines[1:] {
			fmt.Fprintf(b, "  %-*s   %s\n", width, "", l)
		}
	}
}

// sortedFlags are the flags that are not hidden, by name.
func sortedFlags(flags []cli.Flag) []cli.Flag {
	shown := slices.DeleteFunc(slices.Clone(flags), func(f cli.Flag) bool {
		v, ok := f.(cli.VisibleFlag)
		return ok && !v.IsVisible()
	})
	slices.SortStableFunc(shown, func(x, y cli.Flag) int {
		return strings.Compare(strings.ToLower(x.Names()[0]), strings.ToLower(y.Names()[0]))
	})
	return shown
}

// dashed is a flag's name as it is typed.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// wrap breaks text at spaces into lines of at most width bytes, where words allow; newlines are kept.
func wrap(text string, width int) []string {
	var lines []string
	for paragraph := range strings.SplitSeq(text, "\n") {
		line := ""
		for word := range strings.FieldsSeq(paragraph) {
			switch {
			case line == "":
				line = word
			case len(line)+1+len(word) <= width:
				line += " " + word
			default:
				lines = append(lines, line)
				line = word
			}
		}
		lines = append(lines, line)
	}
	return lines
}
