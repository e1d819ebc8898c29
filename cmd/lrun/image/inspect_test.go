package image

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestInspect(t *testing.T) {
	f := newFixture(t)
	im := historyImage()
	im.refs = []string{"app:1", "registry.example.com/app:2"}
	im.digest = true
	im.size = 1234
	im.config = map[string]any{
		"User": "1000:1000", "ExposedPorts": map[string]any{"80/tcp": map[string]any{}}, "Env": []string{"PATH=/bin", "A=<b>"},
		"Entrypoint": []string{"/init"}, "Cmd": []string{"sh"}, "WorkingDir": "/srv", "Labels": map[string]string{"k": "v"},
		"StopSignal": "SIGQUIT", "OnBuild": []string{"RUN x"}, "Shell": []string{"/bin/bash", "-c"},
		"Healthcheck": map[string]any{"Test": []string{"CMD", "true"}, "Interval": 30 * time.Second, "Retries": 3},
	}
	f.put(t, im)
	golden(t, "inspect.json", f.succeed(t, "image", "inspect", "app:1"))

	var docs []map[string]any
	must(t, json.Unmarshal(f.out.Bytes(), &docs))
	if len(docs) != 1 || docs[0]["Os"] != "linux" {
		t.Errorf("got %v", docs)
	}
	for template, want := range map[string]string{
		"{{.Id}}":                          docs[0]["Id"].(string),
		"{{.ID}}":                          docs[0]["Id"].(string),
		"{{.Config.Env}}":                  "[PATH=/bin A=<b>]",
		"{{json .Config.Cmd}}":             `["sh"]`,
		"{{.Config.Labels.k}}":             "v",
		"{{.Config.Healthcheck.Retries}}":  "3",
		"{{len .RootFS.Layers}}":           "2",
		"{{.Size}}":                        "1234",
		"{{index .RepoTags 1}}":            "registry.example.com/app:2",
		"{{.GraphDriver.Name}}":            "vfs",
		"{{.Metadata.LastTagTime.IsZero}}": "true",
	} {
		if got := f.succeed(t, "image", "inspect", "-f", template, "app:1"); got != want+"\n" {
			t.Errorf("%s: got %q, want %q", template, got, want)
		}
	}
}

func TestInspectOfNothing(t *testing.T) {
	f := newFixture(t)
	f.put(t, testImage{refs: []string{"a"}, created: now()})
	f.fail(t, 1, "Error: No such image: nope", "image", "inspect", "nope")
	if f.out.String() != "[]\n" {
		t.Errorf("stdout %q", &f.out)
	}
	f.fail(t, 1, "Error: No such image: x\nError: No such image: y", "image", "inspect", "x", "a", "y", "-f", "{{.RepoTags}}")
	if f.out.String() != "[a:latest]\n" {
		t.Errorf("stdout %q", &f.out)
	}
	f.fail(t, 64, `lrun: parse template "{{": template: format:1: unclosed action`, "image", "inspect", "-f", "{{", "a")
}

func TestInspectOfADanglingImage(t *testing.T) {
	f := newFixture(t)
	id := f.put(t, testImage{repository: "docker.io/library/debian", created: now(), digest: true})
	got := f.succeed(t, "image", "inspect", "-f", "{{json .RepoTags}} {{json .RepoDigests}}", id.String())
	if !strings.HasPrefix(got, `[] ["debian@sha256:`) {
		t.Errorf("got %s", got)
	}
}
