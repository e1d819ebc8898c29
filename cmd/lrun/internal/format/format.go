// Package format shows what lists and inspections find: tables with aligned columns, Go templates and JSON, with
// Docker's columns, template functions and words for sizes and ages.
package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/template"
	"unicode"

	"github.com/containerd/errdefs"
)

// Format is what the user asked for with --format. The zero value is the default table.
type Format struct {
	text string             // the template as given, without "table "
	tmpl *template.Template // nil: the default table
	head bool               // a table: with a header, in columns
}

// Parse reads the value of --format: "" or "table" (the default table), "table TEMPLATE", "json" (one object a
// line), or a template, which is executed for each row and followed by a newline. A template that does not parse
// is errdefs.ErrInvalidArgument.
func Parse(spec string) (Format, error) {
	text := strings.TrimSpace(spec)
	f := Format{}
	switch {
	case text == "" || text == "table":
		return f, nil
	case text == "raw" || text == "pretty":
		return f, errdefs.ErrNotImplemented.WithMessage(fmt.Sprintf("parse --format: %q is not supported, use table, json or a template", text))
	case text == "json":
		text = "{{json .}}"
	case strings.HasPrefix(text, "table "):
		text, f.head = strings.TrimSpace(text[len("table "):]), true
	}
	f.text = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text)
	var err error
	f.tmpl, err = parse(f.text)
	return f, err
}

// IsTable tells whether the default table was asked for.
func (f Format) IsTable() bool { return f.tmpl == nil }

// Uses tells whether a template may show field, so that a costly one is found out only when it is asked for. The
// default table uses none but its columns; a row as a whole, as in json, uses all.
func (f Format) Uses(field string) bool {
	if f.tmpl == nil {
		return false
	}
	for rest := f.text; ; {
		i := strings.IndexByte(rest, '.')
		if i < 0 {
			return false
		}
		rest = rest[i+1:]
		end := strings.IndexFunc(rest, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if end < 0 {
			end = len(rest)
		}
		if word := rest[:end]; word == "" || word == field {
			return true
		}
	}
}

// parse compiles a template with Docker's functions.
func parse(text string) (*template.Template, error) {
	t, err := template.New("format").Funcs(functions()).Parse(text)
	if err != nil {
		return nil, invalid("parse template %q: %w", text, err)
	}
	return t, nil
}

// functions are the template functions besides those of text/template.
func functions() template.FuncMap {
	return template.FuncMap{
		"join":     strings.Join,
		"json":     encode,
		"lower":    strings.ToLower,
		"pad":      pad,
		"split":    strings.Split,
		"title":    title,
		"truncate": truncate,
		"upper":    strings.ToUpper,
	}
}

// headerFunctions stand in for functions when the header of a table is made: what changes a value leaves its name.
func headerFunctions() template.FuncMap {
	same := func(name string, _ ...any) string { return name }
	return template.FuncMap{
		"join": same, "json": same, "lower": same, "split": same, "title": same, "truncate": same, "upper": same,
	}
}

// encode is v as JSON on one line, with <, > and & as they are.
func encode(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", fmt.Errorf("encode %T: %w", v, err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// pad puts spaces around a text that is not empty.
func pad(s string, before, after int) string {
	if s == "" {
		return s
	}
	return strings.Repeat(" ", before) + s + strings.Repeat(" ", after)
}

// title makes the first letter of each word upper case.
func title(s string) string {
	last := ' '
	return strings.Map(func(r rune) rune {
		start := !unicode.IsLetter(last) && !unicode.IsDigit(last) && last != '_' && last != '\''
		last = r
		if start {
			return unicode.ToTitle(r)
		}
		return r
	}, s)
}

// truncate is the first n characters of s.
func truncate(s string, n int) string {
	for i := range s {
		if n--; n < 0 {
			return s[:i]
		}
	}
	return s
}

// Value shows one object as spec says: "json" on one line, or a template, followed by a newline.
func Value(w io.Writer, spec string, v any) error {
	f, err := Parse(spec)
	if err != nil {
		return err
	}
	if f.tmpl == nil || f.head {
		return invalid("parse --format: %q has no table here, use json or a template", spec)
	}
	var b bytes.Buffer
	if err := f.execute(&b, v); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err = w.Write(b.Bytes())
	return err
}

func (f Format) execute(w io.Writer, v any) error {
	if err := f.tmpl.Execute(w, v); err != nil {
		return invalid("execute template: %w", err)
	}
	return nil
}

// invalidError is an error of the user's: errdefs.ErrInvalidArgument, without saying so in its text.
type invalidError struct{ error }

func (e invalidError) Unwrap() []error { return []error{e.error, errdefs.ErrInvalidArgument} }

func invalid(text string, args ...any) error { return invalidError{fmt.Errorf(text, args...)} }
