package oracle

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// difference is what a tool does otherwise than lrun with a case that lrun accepts, line by line: the lines of the tree that are
// missing or too much, or what it says when it refuses the case.
type difference struct {
	why   string
	tools []string
	name  string
	lines []string
}

// differences reads testdata/differences.txt, which holds all that there are. containerd is its package pkg/archive, moby its
// package go-archive. A line that begins with # says why, as far as the next one; then follow the tools and the name of a
// case, and below them, indented, its lines.
func differences(t *testing.T) (all []difference) {
	t.Helper()
	content, err := os.ReadFile("testdata/differences.txt")
	if err != nil {
		t.Fatal(err)
	}
	why := ""
	for line := range strings.Lines(strings.TrimSpace(string(content)) + "\n") {
		line = strings.TrimSuffix(line, "\n")
		reason, isReason := strings.CutPrefix(line, "# ")
		detail, isDetail := strings.CutPrefix(line, "\t")
		tools, name, isCase := strings.Cut(line, ": ")
		switch {
		case isReason:
			why = reason
		case isDetail && len(all) > 0:
			last := &all[len(all)-1]
			last.lines = append(last.lines, detail)
		case isCase && why != "":
			all = append(all, difference{why: why, tools: strings.Fields(tools), name: name})
		default:
			t.Fatalf("testdata/differences.txt: line %q", line)
		}
	}
	return all
}

// Names in lines that are others at every run.
var (
	testName = regexp.MustCompile(`Test(Apply[a-z]+|Umoci)\d+`)
	caseDir  = regexp.MustCompile(`TEST/001/\d+`)
)

// longest is how many bytes of a line are compared.
const longest = 160

// known returns the lines of what a tool did as they are in the file.
func known(what string) (lines []string) {
	what = caseDir.ReplaceAllString(testName.ReplaceAllString(what, "TEST"), "TEST/001/N")
	for line := range strings.SplitSeq(what, "\n") {
		if line = strings.TrimRight(line[:min(len(line), longest)], " "); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// explained returns the lines that a tool is known to differ in, none for a case with which it does what lrun does.
func explained(t *testing.T, tool, name string) []string {
	t.Helper()
	for _, d := range differences(t) {
		if slices.Contains(d.tools, tool) && d.name == name {
			return d.lines
		}
	}
	return nil
}

// everySeen fails for a difference that a tool no longer shows.
func everySeen(t *testing.T, tool string, seen []string) {
	t.Helper()
	for _, d := range differences(t) {
		if slices.Contains(d.tools, tool) && !slices.Contains(seen, d.name) {
			t.Errorf("%s: %s: it is said that %s, which is not seen", tool, d.name, d.why)
		}
	}
}
