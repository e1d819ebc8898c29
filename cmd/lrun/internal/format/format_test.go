package format

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
)

type testRow struct {
	ID     string
	Labels string
	Names  []string
	Size   string
	labels map[string]string
}

// Label is one label, as of a container.
func (r testRow) Label(name string) string { return r.labels[name] }

func testColumns() []Column {
	return []Column{
		{Header: "ID", Field: "ID"},
		{Header: "NAMES", Field: "Names", Extra: true},
		{Header: "SIZE", Field: "Size"},
		{Header: "LABELS", Field: "Labels"},
	}
}

func testRows() []testRow {
	return []testRow{
		{ID: "a1b2c3d4e5f6", Labels: "x=<1>", Names: []string{"web", "www"}, Size: "4MB", labels: map[string]string{"com.example.some-name": "v"}},
		{ID: "b", Labels: "", Size: "12.5kB"},
	}
}

func TestWrite(t *testing.T) {
	tests := []struct{ name, spec, want string }{
		{"default table", "", "ID             SIZE      LABELS\na1b2c3d4e5f6   4MB       x=<1>\nb              12.5kB    \n"},
		{"named default table", "table", "ID             SIZE      LABELS\na1b2c3d4e5f6   4MB       x=<1>\nb              12.5kB    \n"},
		{"template", "{{.ID}}: {{.Size}}", "a1b2c3d4e5f6: 4MB\nb: 12.5kB\n"},
		{"escapes", `{{.ID}}\t{{.Size}}`, "a1b2c3d4e5f6\t4MB\nb\t12.5kB\n"},
		{"table of a template", `table {{.ID}}\t{{.Size}}`, "ID             SIZE\na1b2c3d4e5f6   4MB\nb              12.5kB\n"},
		{"table with functions", `table {{lower .ID}}\t{{join .Names ","}}`, "ID             NAMES\na1b2c3d4e5f6   web,www\nb              \n"},
		{"table with json", `table {{json .ID}}\t{{truncate .Size 2}}`, "ID               SIZE\n\"a1b2c3d4e5f6\"   4M\n\"b\"              12\n"},
		{"table with a label", `table {{.ID}}\t{{.Label "com.example.some-name"}}`, "ID             some name\na1b2c3d4e5f6   v\nb              \n"},
		{"json", "json", `{"ID":"a1b2c3d4e5f6","Labels":"x=<1>","Names":["web","www"],"Size":"4MB"}` + "\n" + `{"ID":"b","Labels":"","Names":null,"Size":"12.5kB"}` + "\n"},
		{"text alone", "x", "x\nx\n"},
		{"println", "{{println .ID}}", "a1b2c3d4e5f6\n\nb\n\n"},
		{"pad", "[{{pad .Size 1 2}}]", "[ 4MB  ]\n[ 12.5kB  ]\n"},
		{"upper, title, split", `{{upper .ID}} {{title "a b-c"}} {{index (split .Size "M") 0}}`, "A1B2C3D4E5F6 A B-C 4\nB A B-C 12.5kB\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Parse(tt.spec)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := Write(&b, f, testColumns(), testRows()); err != nil {
				t.Fatal(err)
			}
			if b.String() != tt.want {
				t.Errorf("got\n%s\nwant\n%s", &b, tt.want)
			}
		})
	}
}

func TestWriteWithoutRows(t *testing.T) {
	for spec, want := range map[string]string{"": "ID        SIZE      LABELS\n", "json": "", "{{.ID}}": "", `table {{.ID}}\t{{.Size}}`: "ID        SIZE\n"} {
		f, err := Parse(spec)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := Write(&b, f, testColumns(), []testRow(nil)); err != nil || b.String() != want {
			t.Errorf("%q: got %q, %v", spec, &b, err)
		}
	}
}

func TestParseAndWriteRefuse(t *testing.T) {
	for _, spec := range []string{"{{", "{{.ID", "{{nope}}", "table {{", "{{.Nope}}", "table {{.Nope}}", `{{index .Names 7}}`} {
		f, err := Parse(spec)
		var b bytes.Buffer
		if err == nil {
			err = Write(&b, f, testColumns(), testRows())
		}
		if !errdefs.IsInvalidArgument(err) || b.Len() > 0 {
			t.Errorf("%q: error %v, wrote %q", spec, err, &b)
		}
	}
	for _, spec := range []string{"raw", "pretty"} {
		if _, err := Parse(spec); !errdefs.IsNotImplemented(err) {
			t.Errorf("%q: error %v", spec, err)
		}
	}
}

func TestUses(t *testing.T) {
	tests := []struct {
		spec string
		want bool
	}{
		{"", false},
		{"table", false},
		{"{{.ID}}", false},
		{"{{.Size}}", true},
		{"{{ .ID }} {{upper .Size}}", true},
		{"{{.SizeRw}}", false},
		{"json", true},
		{"{{json .}}", true},
		{"{{with .}}{{.ID}}{{end}}", true},
		{"table {{.ID}}\t{{.Size}}", true},
		{"no fields.", true}, // too careful, never too careless
	}
	for _, tt := range tests {
		f, err := Parse(tt.spec)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Uses("Size"); got != tt.want {
			t.Errorf("%q: got %v", tt.spec, got)
		}
		if f.IsTable() != (tt.spec == "" || tt.spec == "table") {
			t.Errorf("%q: is table %v", tt.spec, f.IsTable())
		}
	}
}

func TestValue(t *testing.T) {
	v := struct {
		Version string
		Deep    map[string]int
	}{"1", map[string]int{"a": 2}}
	for spec, want := range map[string]string{
		"json":                    `{"Version":"1","Deep":{"a":2}}` + "\n",
		"{{.Version}}":            "1\n",
		"{{.Deep.a}}{{.Version}}": "21\n",
	} {
		var b bytes.Buffer
		if err := Value(&b, spec, v); err != nil || b.String() != want {
			t.Errorf("%q: got %q, %v", spec, &b, err)
		}
	}
	for _, spec := range []string{"", "table", "table {{.Version}}", "{{.Nope}}", "{{"} {
		var b bytes.Buffer
		if err := Value(&b, spec, v); !errdefs.IsInvalidArgument(err) || b.Len() > 0 {
			t.Errorf("%q: error %v, wrote %q", spec, err, &b)
		}
	}
}

func TestVisible(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"plain, späte \"Wörter\" \\ 日本", "plain, späte \"Wörter\" \\ 日本"},
		{"a\tb\nc", `a\tb\nc`},
		{"\x1b[31mred", `\x1b[31mred`},
		{"\xff\x00", `\xff\x00`},
		{"right\u202eleft", `right\u202eleft`},
		{"quote\" and\x07", `quote" and\a`},
	}
	for _, tt := range tests {
		if got := Visible(tt.in); got != tt.want {
			t.Errorf("Visible(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestVisiblePath(t *testing.T) {
	for in, want := range map[string]string{"/a b": "/a b", "/a\nb": `/a\nb`, `/a\nb`: `/a\\nb`, "/\\\n": `/\\\n`} {
		if got := VisiblePath(in); got != want {
			t.Errorf("VisiblePath(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzVisible(f *testing.F) {
	for _, s := range []string{"", "a\tb", "\x1b[2J", "\xff", "\u202e", "\u00a0", "\\", "\"", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range Visible(s) {
			if !strconv.IsPrint(r) {
				t.Fatalf("%q became %q", s, Visible(s))
			}
		}
	})
}

func ExampleWrite() {
	type row struct{ Name, Size string }
	columns := []Column{{Header: "NAME", Field: "Name"}, {Header: "SIZE", Field: "Size"}}
	rows := []row{{"busybox", Size(4_261_550)}, {"debian", Size(124_000_000)}}
	for _, spec := range []string{"", "table {{.Size}}", "{{upper .Name}}", "json"} {
		f, err := Parse(spec)
		if err != nil {
			panic(err)
		}
		_ = Write(os.Stdout, f, columns, rows)
	}
	// Output:
	// NAME      SIZE
	// busybox   4.26MB
	// debian    124MB
	// SIZE
	// 4.26MB
	// 124MB
	// BUSYBOX
	// DEBIAN
	// {"Name":"busybox","Size":"4.26MB"}
	// {"Name":"debian","Size":"124MB"}
}

func TestWords(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	tests := []struct{ name, got, want string }{
		{"size", Size(4_261_550), "4.26MB"},
		{"small size", Size(0), "0B"},
		{"age", Ago(now, now.Add(-15*24*time.Hour)), "2 weeks ago"},
		{"just now", Ago(now, now), "Less than a second ago"},
		{"no time", Ago(now, time.Time{}), "N/A"},
		{"epoch", Ago(now, time.Unix(0, 0)), "N/A"},
		{"no time at all", Time(time.Time{}), "N/A"},
		{"id of a digest", ShortID("sha256:0123456789abcdef"), "0123456789ab"},
		{"id of hex", ShortID("0123456789abcdef"), "0123456789ab"},
		{"short id", ShortID("ab"), "ab"},
		{"ellipsis", Ellipsis("0123456789", 5), "0123…"},
		{"no ellipsis", Ellipsis("01234", 5), "01234"},
		{"ellipsis of wide letters", Ellipsis("äöüß", 3), "äö…"},
		{"ellipsis of nothing", Ellipsis("abc", 0), ""},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, tt.got, tt.want)
		}
	}
	if got := Time(now); !strings.HasPrefix(got, "2026-01-31 ") && !strings.HasPrefix(got, "2026-02-01 ") {
		t.Errorf("got %q", got)
	}
}

func TestLines(t *testing.T) {
	for want, lines := range map[string][]string{"": nil, "a\n": {"a"}, "a\nb\n": {"a", "b"}} {
		var b bytes.Buffer
		if err := Lines(&b, lines); err != nil || b.String() != want {
			t.Errorf("got %q, %v", &b, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "table", "json", "{{.ID}}", `table {{.ID}}\t{{upper .Size}}`, "{{", "{{range .Names}}{{.}}{{end}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		if strings.Contains(spec, "range") || strings.Contains(spec, "template") || strings.Contains(spec, "printf") || strings.Contains(spec, "pad") {
			t.Skip("may run for long, which is the user's own affair")
		}
		p, err := Parse(spec)
		if err != nil {
			return
		}
		var b bytes.Buffer
		_ = Write(&b, p, testColumns(), testRows()) // must not panic
	})
}
