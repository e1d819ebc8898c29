package format

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Column is one field of a row, under its header.
type Column struct {
	Header string
	Field  string // the name of a field of the row's type
	Extra  bool   // not in the default table; the header is for templates that ask
}

// Write shows rows, whose type is a struct, as f says. Without rows a table is its header. The fields' order in
// the struct is their order in json. Nothing is written when a template fails.
func Write[T any](w io.Writer, f Format, columns []Column, rows []T) error {
	var b bytes.Buffer
	table := tabwriter.NewWriter(&b, 10, 1, 3, ' ', 0)
	var err error
	switch {
	case f.tmpl == nil:
		writeTable(table, columns, rows)
		err = table.Flush()
	case f.head:
		if err = writeTemplateTable(table, f, columns, rows); err == nil {
			err = table.Flush()
		}
	default:
		err = writeTemplate(&b, f, rows)
	}
	if err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

// writeTable writes the header and the rows, columns ended by tabs.
func writeTable[T any](w io.Writer, columns []Column, rows []T) {
	var cells []string
	for _, c := range columns {
		if !c.Extra {
			cells = append(cells, c.Header)
		}
	}
	_, _ = fmt.Fprintln(w, strings.Join(cells, "\t")) // into memory
	for i := range rows {
		cells = cells[:0]
		row := reflect.ValueOf(&rows[i]).Elem()
		for _, c := range columns {
			if !c.Extra {
				cells = append(cells, Visible(fmt.Sprint(row.FieldByName(c.Field).Interface())))
			}
		}
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
}

// writeTemplateTable writes the header and the rows as the template says.
func writeTemplateTable[T any](w io.Writer, f Format, columns []Column, rows []T) error {
	head, err := f.tmpl.Clone()
	if err != nil {
		return fmt.Errorf("clone template: %w", err)
	}
	names := make(header, len(columns))
	for _, c := range columns {
		names[c.Field] = c.Header
	}
	if err := (Format{tmpl: head.Funcs(headerFunctions())}).execute(w, names); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(w)
	return writeTemplate(w, f, rows)
}

// writeTemplate writes each row as the template says, and a newline.
func writeTemplate[T any](w io.Writer, f Format, rows []T) error {
	for i := range rows {
		if err := f.execute(w, &rows[i]); err != nil {
			return err
		}
		if _, err := io.WriteString(w, "\n"); err != nil {
			return err
		}
	}
	return nil
}

// header stands in for a row when the header of a table is made.
type header map[string]string

// Label is the header of a column that shows one label: the last part of the label's name.
func (header) Label(name string) string {
	last := name[strings.LastIndexByte(name, '.')+1:]
	return strings.NewReplacer("-", " ", "_", " ").Replace(last)
}

// Lines shows one text a line, as -q does.
func Lines(w io.Writer, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return err
}

// Visible is s with everything escaped that could steer a terminal or break a line: control characters, and bytes
// that are not UTF-8.
func Visible(s string) string {
	clean := true
	for _, r := range s {
		if !strconv.IsPrint(r) || r == '\uFFFD' {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	quoted := strconv.Quote(s)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}

// VisiblePath is Visible of a path, which stays one path: a backslash of its own is doubled.
func VisiblePath(path string) string { return Visible(strings.ReplaceAll(path, `\`, `\\`)) }
