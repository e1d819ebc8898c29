package main

import (
	"reflect"
	"strings"
	"testing"
)

const (
	lineRun    = `{"command":{"group":"run","name":"lrun","argv":["/bin/true"]}}`
	lineOther  = `{"command":{"group":"run","name":"other","argv":["/bin/true","{i}"],"copies":2,"before":"x"}}`
	lineTarget = `{"target":{"group":"run","metric":"wall","factor":2.5,"ref_group":"run","ref":"other"}}`
)

func TestReadSection(t *testing.T) {
	got, err := readSection(strings.NewReader(lineRun + "\n" + lineOther + "\n" + lineTarget + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := section{
		Commands: []command{
			{Group: "run", Name: "lrun", Argv: []string{"/bin/true"}},
			{Group: "run", Name: "other", Argv: []string{"/bin/true", "{i}"}, Copies: 2, Before: "x"},
		},
		Targets: []target{{Group: "run", Metric: wall, Factor: 2.5, RefGroup: "run", Ref: "other"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestReadSectionRefuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"nothing", "", "no command"},
		{"no JSON", "{", "read section"},
		{"unknown field", `{"command":{"grup":"x"}}`, "grup"},
		{"neither", "{}", "either a command or a target"},
		{"both", `{"command":{},"target":{}}`, "either a command or a target"},
		{"twice", lineRun + lineRun, `lrun of "run" is there twice`},
		{"no words", `{"command":{"group":"run","name":"lrun"}}`, "no absolute path"},
		{"relative", `{"command":{"group":"run","name":"lrun","argv":["true"]}}`, "no absolute path"},
		{"metric", lineRun + `{"target":{"group":"run","metric":"weight","add":1}}`, `"weight"`},
		{"target of nothing", lineRun + `{"target":{"group":"walk","metric":"wall","add":1}}`, `"walk"`},
		{"target by a command that is missing", lineRun + lineTarget, "not measured"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readSection(strings.NewReader(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func FuzzReadSection(f *testing.F) {
	f.Add(lineRun)
	f.Add(lineOther + lineRun + lineTarget)
	f.Add(`{"command":null}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := readSection(strings.NewReader(text))
		if err == nil && len(s.Commands) == 0 {
			t.Error("a section without a command")
		}
	})
}

func TestArgvs(t *testing.T) {
	tests := []struct {
		name   string
		copies int
		want   [][]string
	}{
		{"one", 0, [][]string{{"/x", "name-7-0", "{j}"}}},
		{"three", 3, [][]string{{"/x", "name-7-0", "{j}"}, {"/x", "name-7-1", "{j}"}, {"/x", "name-7-2", "{j}"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := command{Argv: []string{"/x", "name-{i}-{n}", "{j}"}, Copies: tt.copies}
			if got := c.argvs(7); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestShell(t *testing.T) {
	want := [][]string{{"/bin/sh", "-c", "rm 3 3"}}
	if got := shell("rm {i} {i}", 3); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
