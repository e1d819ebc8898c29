package image

import (
	"strings"
	"testing"
)

func TestList(t *testing.T) {
	f := newFixture(t)
	gallery(t, f)
	tests := []struct{ name, args string }{
		{"table", "images"},
		{"digests", "images --digests"},
		{"whole", "image ls --no-trunc"},
		{"quiet", "images -q"},
		{"json", "images --format json"},
		{"template", `images --format {{.Repository}}:{{.Tag}}={{.Size}}`},
		{"columns", `image list --format table\t{{.ID}}\t{{.CreatedAt}}\t{{.Containers}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := strings.Fields(tt.args)
			for i := range args {
				args[i] = strings.Replace(args[i], `table\t`, "table ", 1)
			}
			golden(t, "images-"+tt.name+".txt", f.succeed(t, args...))
		})
	}
}

func TestListSelects(t *testing.T) {
	f := newFixture(t)
	busybox, _, _, _ := gallery(t, f)
	const (
		box, box136 = "busybox:latest", "busybox:1.36"
		nginx       = "registry.example.com:5000/web/nginx:stable"
		debian      = "debian:<none>"
		none        = "<none>:<none>"
	)
	tests := []struct {
		args string
		want []string
	}{
		{"", []string{nginx, box136, box, debian, none}},
		{"-a", []string{nginx, box136, box, debian, none}},
		{"busybox", []string{box136, box}},
		{"busybox:1.36", []string{box136}},
		{"busy", nil},
		{"busy*", []string{box136, box}},
		{"*/*/nginx", []string{nginx}},
		{"debian", []string{debian}},
		{"--filter reference=*:1.*", []string{box136}},
		{"--filter reference=busybox:1.36 --filter reference=*/*/nginx:stable", []string{nginx, box136}},
		{"-f dangling=true", []string{debian, none}},
		{"-f dangling=false", []string{nginx, box136, box}},
		{"-f label=tier", []string{nginx, box136, box}},
		{"-f label=tier=web", []string{nginx}},
		{"-f label=tier=base -f label=public", []string{box136, box}},
		{"-f label=tier=web -f label=public", nil},
		{"-f before=busybox", []string{debian, none}},
		{"-f since=busybox", []string{nginx}},
		{"-f since=busybox -f dangling=true", nil},
		{"-f before=" + busybox.Encoded()[:12] + " debian", []string{debian}},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			args := append([]string{"images", "--format", "{{.Repository}}:{{.Tag}}"}, strings.Fields(tt.args)...)
			got := strings.Fields(f.succeed(t, args...))
			if strings.Join(got, " ") != strings.Join(tt.want, " ") {
				t.Errorf("got  %v\nwant %v", got, tt.want)
			}
		})
	}
}

func TestListOfNothing(t *testing.T) {
	f := newFixture(t)
	if got := f.succeed(t, "images"); got != "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n" {
		t.Errorf("got %q", got)
	}
	if got := f.succeed(t, "images", "-q"); got != "" {
		t.Errorf("got %q", got)
	}
	if got := f.succeed(t, "images", "--format", "json"); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestListRefuses(t *testing.T) {
	f := newFixture(t)
	gallery(t, f)
	f.fail(t, 1, `lrun: parse filter "until=1h": there is no filter "until", only before, dangling, label, reference, since`, "images", "-f", "until=1h")
	f.fail(t, 1, `lrun: parse filter "dangling": want key=value`, "images", "-f", "dangling")
	f.fail(t, 1, `lrun: parse filter "dangling=maybe": want either true or false`, "images", "-f", "dangling=maybe")
	f.fail(t, 1, "lrun: No such image: nope", "images", "-f", "before=nope")
	f.fail(t, 1, "lrun: No such image: nope", "images", "-f", "since=nope")
	f.fail(t, 1, "lrun: parse filter reference=[: syntax error in pattern", "images", "[")
	f.fail(t, 1, `lrun: parse template "{{.ID": template: format:1: unclosed action`, "images", "--format", "{{.ID")
	f.fail(t, 125, "lrun: unknown flag: --zzz; see 'lrun images --help'", "images", "--zzz")
}

func TestListFormatBeforeQuiet(t *testing.T) {
	f := newFixture(t)
	gallery(t, f)
	if code := f.lrun(t, "images", "-q", "--format", "{{.Tag}}", "busybox:1.36"); code != 0 || f.out.String() != "1.36\n" {
		t.Errorf("exit code %d, stdout %q", code, &f.out)
	}
	if want := "lrun: --quiet is ignored, because --format says what to show\n"; f.err.String() != want {
		t.Errorf("stderr %q", &f.err)
	}
}
