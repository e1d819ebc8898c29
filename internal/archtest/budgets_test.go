package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// The budgets that the linter does not know; those of functions are in .golangci.yml.
const (
	fileLines        = 400
	packageLines     = 1200 // tests not counted
	interfaceMethods = 5
)

func TestBudgets(t *testing.T) {
	for _, v := range budgetViolations(goFiles(t)) {
		t.Error(v)
	}
}

func TestNoMutableGlobals(t *testing.T) {
	for _, v := range globalViolations(goFiles(t)) {
		t.Error(v)
	}
}

func TestBudgetViolations(t *testing.T) {
	long := "package p\n" + strings.Repeat("var _ = 1\n", fileLines)
	tests := []struct {
		name  string
		files []file
		want  []string
	}{
		{"file too long", []file{source(t, "p/a.go", long)}, []string{"p/a.go: 401 code lines"}},
		{"at the limit", []file{source(t, "p/a.go", "package p // "+long[10:])}, nil},
		{"package too long", []file{
			source(t, "p/a.go", long[:len(long)-10]), source(t, "p/b.go", long[:len(long)-10]),
			source(t, "p/c.go", long[:len(long)-10]), source(t, "p/d.go", "package p\n"),
			source(t, "p/d_test.go", long[:len(long)-10]),
		}, []string{"package p: 1201 code lines"}},
		{"interface", []file{
			source(t, "p/a.go", "package p\ntype A interface { a(); b(); c(); d(); e() }\n"),
			source(t, "p/b.go", "package p\ntype B interface { A; f() }\n"),
		}, []string{"p/b.go: interface B has 6 methods"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := budgetViolations(tt.files)
			if len(got) != len(tt.want) {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], tt.want[i]) {
					t.Errorf("got %q, want %q", got[i], tt.want[i])
				}
			}
		})
	}
}

func TestGlobalViolations(t *testing.T) {
	const start = "package p\nvar g int\nvar table = map[string]int{}\n"
	tests := []struct{ name, text, want string }{
		{"read", "func f() int { return g + table[\"x\"] }", ""},
		{"assigned", "func f() { g = 1 }", "g"},
		{"counted", "func f() { g++ }", "g"},
		{"member assigned", "func f() { table[\"x\"] = 1 }", "table"},
		{"address taken", "func f() *int { return &g }", "g"},
		{"in a method", "type T struct{}\nfunc (T) f() { g += 2 }", "g"},
		{"hidden by a local", "func f() { g := 1; g = 2; _ = g }", ""},
		{"hidden by a parameter", "func f(g int) { g = 2; _ = g }", ""},
		{"made to be changed", "var m sync.Mutex", "m"},
		{"made to be changed, by value", "var once = sync.OnceValue(func() int { return 1 })", "once"},
		{"asserts an interface", "var _ I = &T{}", ""},
		{"blank", "var _ I = T{}\nfunc f() { _ = h() }", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := globalViolations([]file{source(t, "p/a.go", start), source(t, "p/b.go", "package p\n"+tt.text)})
			if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], " "+tt.want+" ")) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// budgetViolations lists files, packages and interfaces that are too large.
func budgetViolations(files []file) []string {
	var found []string
	perPackage := map[string]int{}
	methods := map[string]*ast.InterfaceType{}
	for _, f := range files {
		if f.lines > fileLines {
			found = append(found, fmt.Sprintf("%s: %d code lines, at most %d", f.name, f.lines, fileLines))
		}
		if !f.test {
			perPackage[f.pkg] += f.lines
		}
		eachInterface(f, func(name string, it *ast.InterfaceType) { methods[f.pkg+"."+name] = it })
	}
	for pkg, n := range perPackage {
		if n > packageLines {
			found = append(found, fmt.Sprintf("package %s: %d code lines, at most %d", pkg, n, packageLines))
		}
	}
	for _, f := range files {
		eachInterface(f, func(name string, it *ast.InterfaceType) {
			if n := countMethods(it, f.pkg, methods); n > interfaceMethods {
				found = append(found, fmt.Sprintf("%s: interface %s has %d methods, at most %d", f.name, name, n, interfaceMethods))
			}
		})
	}
	slices.Sort(found)
	return found
}

// eachInterface calls visit for every named interface of f.
func eachInterface(f file, visit func(name string, it *ast.InterfaceType)) {
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			if it, ok := spec.Type.(*ast.InterfaceType); ok {
				visit(spec.Name.Name, it)
			}
		}
		return true
	})
}

// countMethods counts the methods of it, and those of embedded interfaces of its own package; others count one.
func countMethods(it *ast.InterfaceType, pkg string, known map[string]*ast.InterfaceType) int {
	count := 0
	for _, field := range it.Methods.List {
		count += max(1, len(field.Names))
		if id, ok := field.Type.(*ast.Ident); ok && known[pkg+"."+id.Name] != nil {
			count += countMethods(known[pkg+"."+id.Name], pkg, known) - 1
		}
	}
	return count
}

// globalViolations lists variables of packages, outside tests, that something changes. It goes by
// names, not by types: what it takes for a change of a global that is none deserves another name anyway.
func globalViolations(files []file) []string {
	globals := map[string]string{} // package and name: file
	var found []string
	for _, f := range files {
		if f.test {
			continue
		}
		for _, decl := range f.syntax.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				for _, name := range v.Names {
					globals[f.pkg+"."+name.Name] = f.name
					if usesPackage(v, "sync", "atomic") {
						found = append(found, fmt.Sprintf("%s: variable %s is made to be changed", f.name, name.Name))
					}
				}
			}
		}
	}
	for _, f := range files {
		for _, decl := range f.syntax.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || f.test {
				continue
			}
			for _, name := range changed(fn) {
				if globals[f.pkg+"."+name] != "" {
					found = append(found, fmt.Sprintf("%s: function %s changes the variable %s of its package", f.name, fn.Name.Name, name))
				}
			}
		}
	}
	return found
}

// usesPackage reports whether the type or value of v begins with one of the packages: sync.Mutex, sync.OnceValue(…).
func usesPackage(v *ast.ValueSpec, packages ...string) bool {
	exprs := append([]ast.Expr{v.Type}, v.Values...)
	return slices.ContainsFunc(exprs, func(e ast.Expr) bool {
		if e == nil {
			return false
		}
		return slices.Contains(packages, rootName(e))
	})
}

// changed returns the names, not declared in fn, that fn assigns to, counts up or down, or takes the address of.
func changed(fn *ast.FuncDecl) []string {
	local := map[string]bool{}
	var names []string
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			for _, name := range n.Names {
				local[name.Name] = true
			}
		case *ast.ValueSpec:
			for _, name := range n.Names {
				local[name.Name] = true
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				local[rootName(n.Key)], local[rootName(n.Value)] = true, true
			}
		case *ast.AssignStmt:
			for _, e := range n.Lhs {
				if n.Tok == token.DEFINE {
					local[rootName(e)] = true
				} else {
					names = append(names, rootName(e))
				}
			}
		case *ast.IncDecStmt:
			names = append(names, rootName(n.X))
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				names = append(names, rootName(n.X))
			}
		}
		return true
	})
	local["_"] = true
	return slices.DeleteFunc(names, func(name string) bool { return local[name] })
}

// rootName returns x for x, x.y, x[i], x(), *x and so on; nothing for a literal.
func rootName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return rootName(e.X)
	case *ast.IndexExpr:
		return rootName(e.X)
	case *ast.CallExpr:
		return rootName(e.Fun)
	case *ast.StarExpr:
		return rootName(e.X)
	case *ast.ParenExpr:
		return rootName(e.X)
	default:
		return ""
	}
}
