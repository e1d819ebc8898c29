// Package archtest holds the house to its plan: which package imports which, how large things get,
// and that every trap in docs/traps.md names tests that exist. It is made of tests only.
package archtest

import (
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/lrun-dev/lrun"

// file is one Go file of the tree.
type file struct {
	pkg, name string // directory and path, relative to the module
	test      bool
	syntax    *ast.File
	lines     int // code lines
}

// imports returns the import paths of f; those of the module lose its name, and the root package is ".".
func (f file) imports() []string {
	var paths []string
	for _, spec := range f.syntax.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		if p == module {
			p = "."
		}
		paths = append(paths, p)
	}
	return paths
}

// own cuts the module's name off an import path, and reports whether it was there.
func own(importPath string) (string, bool) { return strings.CutPrefix(importPath, module+"/") }

// source parses one file; name is its path in the module.
func source(t *testing.T, name, text string) file {
	t.Helper()
	fset := token.NewFileSet()
	syntax, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return file{
		pkg: path.Dir(name), name: name, test: strings.HasSuffix(name, "_test.go"),
		syntax: syntax, lines: codeLines([]byte(text)),
	}
}

// codeLines counts the lines that hold more than space and comments.
func codeLines(text []byte) int {
	fset := token.NewFileSet()
	f := fset.AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(f, text, nil, 0)
	count, last := 0, 0
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return count
		}
		if tok == token.SEMICOLON && lit == "\n" { // inserted, not written
			continue
		}
		first := f.Line(pos)
		end := first + strings.Count(lit, "\n") // a raw string spans lines
		count += end - max(first, last+1) + 1
		last = end
	}
}

// root is the module's directory.
const root = "../.."

// walk calls visit with every file of the module, by its slash-separated path, but not hidden ones and testdata.
func walk(t *testing.T, visit func(name string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() && p != root && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "bin") {
			return filepath.SkipDir
		}
		if !d.IsDir() {
			name, err := filepath.Rel(root, p)
			if err != nil {
				return err
			}
			visit(filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// goFiles parses every Go file of the module.
func goFiles(t *testing.T) []file {
	t.Helper()
	var files []file
	walk(t, func(name string) {
		if !strings.HasSuffix(name, ".go") || strings.Contains(name, "testdata/") {
			return
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, source(t, name, string(text)))
	})
	return files
}

func TestCodeLines(t *testing.T) {
	tests := []struct {
		text string
		want int
	}{
		{"", 0},
		{"package x\n\n// comment\n/* more\n   of it */\n\nvar a = 1 // why\n", 2},
		{"package x\nvar a = `one\ntwo\n\nthree`; var b int\n", 5},
		{"package x; var a,\n b int\n", 2},
	}
	for _, tt := range tests {
		if got := codeLines([]byte(tt.text)); got != tt.want {
			t.Errorf("%q: %d lines, want %d", tt.text, got, tt.want)
		}
	}
}
