package archtest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// attackCount is the least number of attacks that docs/security.md lists: none is to be lost.
const attackCount = 35

// TestSecurity checks that every attack in docs/security.md says what stops it and names tests that exist.
func TestSecurity(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/security.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range attackViolations(string(text), attackCount, testNames(t)) {
		t.Error(v)
	}
}

func TestAttackViolations(t *testing.T) {
	known := []string{"layer.TestA", "integration/testdata/attack-x.txtar"}
	const head = "| attack | what stops it | tests |\n|---|---|---|\n"
	const good = "| x | y | `layer.TestA` `integration/testdata/attack-x.txtar` |\n"
	tests := []struct{ name, text, want string }{
		{"good", head + good, ""},
		{"another table", head + good + "\n| option | gives up |\n|---|---|\n| a | |\n", ""},
		{"too few", head, "0 attacks, want 1"},
		{"no test", head + good + "| x | y | not yet |\n", `"x" names no test`},
		{"empty cell", head + good + "| x | | `layer.TestA` |\n", `"x" has an empty cell`},
		{"unknown test", head + good + "| x | y | `layer.TestB` |\n", "layer.TestB does not exist"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := strings.Join(attackViolations(tt.text, 1, known), "; ")
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// attackViolations lists what is wrong with the table of attacks in text.
func attackViolations(text string, least int, known []string) []string {
	_, table, _ := strings.Cut(text, "| attack | what stops it | tests |\n|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var found []string
	rows := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows++
		if len(cells) != 3 || slices.Contains(cells, "") {
			found = append(found, fmt.Sprintf("%q has an empty cell, or not three", cells[0]))
			continue
		}
		names := strings.Split(cells[2], "`")
		if len(names) == 1 {
			found = append(found, fmt.Sprintf("%q names no test", cells[0]))
		}
		for i := 1; i < len(names); i += 2 {
			if !slices.Contains(known, names[i]) {
				found = append(found, fmt.Sprintf("%q: %s does not exist", cells[0], names[i]))
			}
		}
	}
	if rows < least {
		found = append(found, fmt.Sprintf("%d attacks, want %d", rows, least))
	}
	return found
}
