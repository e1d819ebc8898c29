package format

import (
	"bytes"
	"testing"

	"github.com/containerd/errdefs"
)

type testObject struct {
	ID     string `json:"Id"`
	Size   int64
	Config map[string]any
}

func testObjects() []any {
	return []any{
		testObject{ID: "sha256:a", Size: 12345678901, Config: map[string]any{"Env": []string{"A=<b>"}}},
		&testObject{ID: "sha256:b"},
	}
}

func TestInspect(t *testing.T) {
	tests := []struct{ name, spec, want string }{
		{"one line each", "json", `{"Id":"sha256:a","Size":12345678901,"Config":{"Env":["A=<b>"]}}` + "\n" + `{"Id":"sha256:b","Size":0,"Config":null}` + "\n"},
		{"by Go field", "{{.ID}}", "sha256:a\nsha256:b\n"},
		{"by JSON key", "{{.Id}}", "sha256:a\nsha256:b\n"},
		{"numbers compare", "{{if gt .Size 5}}big{{else}}small{{end}}", "big\nsmall\n"},
		{"large number by JSON key", "{{.Id}} {{.Size}}", "sha256:a 12345678901\nsha256:b 0\n"},
		{"part as json", "{{json .Config}}", "{\"Env\":[\"A=<b>\"]}\nnull\n"},
		{"missing in a map", "{{.Config.Nope}}", "<no value>\n<no value>\n"},
		{"the word table is text", "table {{.ID}}", "table sha256:a\ntable sha256:b\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := Inspect(&b, tt.spec, testObjects()); err != nil || b.String() != tt.want {
				t.Errorf("got %v\n%swant\n%s", err, &b, tt.want)
			}
		})
	}
}

func TestInspectArray(t *testing.T) {
	var b bytes.Buffer
	if err := Inspect(&b, "", testObjects()[:1]); err != nil {
		t.Fatal(err)
	}
	want := "[\n    {\n        \"Id\": \"sha256:a\",\n        \"Size\": 12345678901,\n        \"Config\": {\n            \"Env\": [\n                \"A=<b>\"\n            ]\n        }\n    }\n]\n"
	if b.String() != want {
		t.Errorf("got\n%s", &b)
	}
	b.Reset()
	if err := Inspect(&b, "", nil); err != nil || b.String() != "[]\n" {
		t.Errorf("nothing found: got %q, %v", &b, err)
	}
}

func TestInspectRefuses(t *testing.T) {
	for _, spec := range []string{"{{", "{{.Nope}}", "{{.Id.Nope}}"} {
		var b bytes.Buffer
		if err := Inspect(&b, spec, testObjects()); !errdefs.IsInvalidArgument(err) || b.Len() > 0 {
			t.Errorf("%q: got %v, wrote %q", spec, err, &b)
		}
	}
	var b bytes.Buffer
	objects := []any{map[string]any{"Name": "x"}, map[string]any{"Other": 1}}
	if err := Inspect(&b, "{{len .Name}}", objects); !errdefs.IsInvalidArgument(err) || b.String() != "1\n" {
		t.Errorf("what was found is shown: got %q, %v", &b, err)
	}
}
