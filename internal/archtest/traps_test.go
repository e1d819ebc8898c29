package archtest

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// trapCount is how many traps docs/traps.md lists.
const trapCount = 37

// trapRow is a row of the table: number, trap, tests.
var trapRow = regexp.MustCompile(`(?m)^\| *(\d+) *\|([^|]*)\|([^|]*)\|$`)

// TestTraps checks that every trap is there, and that the tests it names exist.
func TestTraps(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/traps.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range trapViolations(string(text), trapCount, testNames(t)) {
		t.Error(v)
	}
}

func TestTrapViolations(t *testing.T) {
	known := []string{"layer.TestA", "image/blob.FuzzB", "integration/testdata/ps.txtar"}
	const first = "| 1 | x | `layer.TestA`, `image/blob.FuzzB` `integration/testdata/ps.txtar` |\n"
	tests := []struct{ name, text, want string }{
		{"good", first + "| 2 | y | not yet |\n", ""},
		{"partly", first + "| 2 | y | `layer.TestA`; ports: not yet |\n", ""},
		{"missing", first, "trap 2 is missing"},
		{"twice", first + first + "| 2 | y | not yet |\n", "trap 1 stands there twice"},
		{"beyond", first + "| 2 | y | not yet |\n| 3 | z | not yet |\n", "trap 3 is unknown"},
		{"unknown test", first + "| 2 | y | `layer.TestC` |\n", "layer.TestC does not exist"},
		{"in another package", first + "| 2 | y | `layer.FuzzB` |\n", "layer.FuzzB does not exist"},
		{"says nothing", first + "| 2 | y | |\n", "trap 2 names neither"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := strings.Join(trapViolations(tt.text, 2, known), "; ")
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// trapViolations lists what is wrong with the table in text.
func trapViolations(text string, count int, known []string) []string {
	var found []string
	seen := map[string]int{}
	for _, row := range trapRow.FindAllStringSubmatch(text, -1) {
		number, tests := row[1], row[3]
		if seen[number]++; seen[number] == 2 {
			found = append(found, fmt.Sprintf("trap %s stands there twice", number))
		}
		names := strings.Split(tests, "`")
		if len(names) == 1 && !strings.Contains(tests, "not yet") {
			found = append(found, fmt.Sprintf(`trap %s names neither a test nor "not yet"`, number))
		}
		for i := 1; i < len(names); i += 2 {
			if !slices.Contains(known, names[i]) {
				found = append(found, fmt.Sprintf("trap %s: %s does not exist", number, names[i]))
			}
		}
	}
	for n := range count {
		number := fmt.Sprint(n + 1)
		if seen[number] == 0 {
			found = append(found, fmt.Sprintf("trap %s is missing", number))
		}
		delete(seen, number)
	}
	for number := range seen {
		found = append(found, fmt.Sprintf("trap %s is unknown", number))
	}
	return found
}

// testNames lists the functions in tests, as package.TestName, and the paths of testscript files.
func testNames(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, f := range goFiles(t) {
		for _, decl := range f.syntax.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && (f.test || slices.Contains(testOnly, f.pkg)) {
				names = append(names, f.pkg+"."+fn.Name.Name)
			}
		}
	}
	walk(t, func(name string) {
		if strings.HasSuffix(name, ".txtar") {
			names = append(names, name)
		}
	})
	return names
}
