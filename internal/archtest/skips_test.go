package archtest

import (
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"testing"
)

// skipping are the files whose tests may be skipped even by root, with the reason. What is missing on a machine, a
// tool or a filesystem, is no reason: testutil.Missing.
var skipping = map[string]string{
	"cmd/lrun/start_test.go":                  "go test -short",
	"cmd/lrun/internal/format/format_test.go": "fuzz inputs that take long",
	"integration/reorder_test.go":             "kernels without device-mapper",
	"internal/testutil/testutil.go":           "the user is not root",
	"runtime/cgroup/devices_test.go":          "cgroup v1 and v2 differ",
	"runtime/cgroup/kill_test.go":             "cgroup v1 and v2 differ",
	"runtime/cgroup/unified_test.go":          "cgroup v1 and v2 differ",
	"runtime/seccomp/kernel_test.go":          "architectures differ",
	"runtime/seccomp/runc_test.go":            "architectures differ",
	"runtime/seccomp/tables_test.go":          "architectures differ",
	"runtime/stage/bare_amd64_test.go":        "the virtual machine has no Go",
}

func TestSkipsHaveReasons(t *testing.T) {
	for _, v := range skipViolations(goFiles(t), skipping) {
		t.Error(v)
	}
}

func TestSkipViolations(t *testing.T) {
	reasons := map[string]string{"p/known_test.go": "why", "p/gone_test.go": "why"}
	files := []file{
		source(t, "p/known_test.go", "package p\nfunc f(t *testing.T) { t.Skip() }"),
		source(t, "p/new_test.go", "package p\nfunc f(t *testing.T) { if true { t.Skipf(\"x\") } }"),
		source(t, "p/b_test.go", "package p\nfunc f(b *testing.B) { b.SkipNow(); b.Error() }"),
		source(t, "p/other.go", "package p\nfunc f(s scanner) { Skip(); s.SkipSpace() }"),
	}
	want := []string{
		"p/b_test.go: SkipNow, with no reason in skips_test.go: use testutil.Missing for what a machine lacks",
		"p/gone_test.go: skips nothing, but skips_test.go has a reason",
		"p/new_test.go: Skipf, with no reason in skips_test.go: use testutil.Missing for what a machine lacks",
	}
	if got := skipViolations(files, reasons); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// skipViolations lists calls of Skip and its like in files without a reason, and reasons that no file needs.
func skipViolations(files []file, reasons map[string]string) []string {
	found := map[string]bool{}
	unused := maps.Clone(reasons)
	for _, f := range files {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, method.Sel.Name) {
				return true
			}
			delete(unused, f.name)
			if reasons[f.name] == "" {
				found[fmt.Sprintf("%s: %s, with no reason in skips_test.go: use testutil.Missing for what a machine lacks", f.name, method.Sel.Name)] = true
			}
			return true
		})
	}
	for name := range unused {
		found[name+": skips nothing, but skips_test.go has a reason"] = true
	}
	return slices.Sorted(maps.Keys(found))
}
