package inspect

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/command"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
)

// shelf holds the objects of one type.
type shelf struct {
	kind    string
	objects map[string]any // an error is what Inspect returns
}

func (s shelf) Type() string { return s.kind }

func (s shelf) Inspect(_ context.Context, name string, size bool) (any, error) {
	o, ok := s.objects[name]
	if err, failed := o.(error); failed {
		return nil, err
	}
	if !ok {
		return nil, errdefs.ErrNotFound
	}
	if size {
		return map[string]any{"Name": name, "Size": 7}, nil
	}
	return o, nil
}

type object struct {
	ID string `json:"Id"`
}

func run1(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	box := shelf{"container", map[string]any{"web": object{"c1"}, "both": object{"c2"}, "a:b": errdefs.ErrInvalidArgument.WithMessage("no such name can be")}}
	img := shelf{"image", map[string]any{"busybox": object{"i1"}, "both": object{"i2"}, "a:b": object{"i3"}, "broken": errors.New("read: no")}}
	of := func(s shelf) Of { return func(*env.Env) Inspector { return s } }
	var out, errs bytes.Buffer
	app := &command.App{
		Name: "lrun", Env: env.With(strings.NewReader(""), &out, &errs),
		Groups: []command.Group{
			Group(of(box), of(img)),
			{Name: "image", Entries: []command.Entry{{Sub: []string{"inspect"}, New: Command(of(img)), Args: command.AtLeast(1)}}},
			{Name: "container", Entries: []command.Entry{{Sub: []string{"inspect"}, New: Command(of(box)), Args: command.AtLeast(1)}}},
		},
	}
	code = app.Main(t.Context(), append([]string{"lrun"}, args...))
	return code, out.String(), errs.String()
}

func TestInspect(t *testing.T) {
	tests := []struct {
		args        string
		code        int
		out, stderr string
	}{
		{"inspect -f {{.Id}} web", 0, "c1\n", ""},
		{"inspect -f {{.Id}} busybox web", 0, "i1\nc1\n", ""},
		{"inspect -f {{.Id}} both", 0, "c2\n", ""},
		{"inspect -f {{.Id}} --type image both", 0, "i2\n", ""},
		{"inspect -f {{.Id}} a:b", 0, "i3\n", ""},
		{"inspect -f {{.Size}} -s web", 0, "7\n", ""},
		{"inspect --format json web both", 0, "{\"Id\":\"c1\"}\n{\"Id\":\"c2\"}\n", ""},
		{"inspect web", 0, "[\n    {\n        \"Id\": \"c1\"\n    }\n]\n", ""},
		{"inspect nope", 1, "[]\n", "Error: No such object: nope\n"},
		{"inspect nope -f {{.Id}}", 1, "", "Error: No such object: nope\n"},
		{"inspect x web y -f {{.Id}}", 1, "c1\n", "Error: No such object: x\nError: No such object: y\n"},
		{"inspect broken web -f {{.Id}}", 1, "c1\n", "lrun: read: no\n"},
		{"inspect --type container busybox", 1, "[]\n", "Error: No such container: busybox\n"},
		{"inspect --type container a:b", 1, "[]\n", "lrun: no such name can be\n"},
		{"inspect --type volume x", 1, "", "lrun: unknown type: \"volume\": must be one of \"container\", \"image\"\n"},
		{"inspect -f {{ web", 64, "", "lrun: parse template \"{{\": template: format:1: unclosed action\n"},
		{"inspect -f {{.Nope}} web", 1, "", "lrun: execute template: template: format:1:2: executing \"format\" at <.Nope>: map has no entry for key \"Nope\"\n"},
		{"image inspect both -f {{.Id}}", 0, "i2\n", ""},
		{"image inspect web", 1, "[]\n", "Error: No such image: web\n"},
		{"image inspect --type image busybox", 125, "", "lrun: unknown flag: --type; see 'lrun image inspect --help'\n"},
		{"image inspect --size busybox", 125, "", "lrun: unknown flag: --size; see 'lrun image inspect --help'\n"},
		{"container inspect -s both -f {{.Name}}", 0, "both\n", ""},
		{"inspect", 1, "", "lrun: 'lrun inspect' requires at least 1 argument; see 'lrun inspect --help'\n"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			code, out, stderr := run1(t, strings.Fields(tt.args)...)
			if code != tt.code || out != tt.out || stderr != tt.stderr {
				t.Errorf("exit code %d, want %d\nstdout %q\nwant   %q\nstderr %q\nwant   %q", code, tt.code, out, tt.out, stderr, tt.stderr)
			}
		})
	}
}
