package command

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

const wantPage = generated + "# lrun rm\n\nrecord a call\n\n```\nlrun rm [OPTIONS] THING...\n```\n" + `
Also: ` + "`lrun container rm`, `lrun container remove`" + `

It keeps what it saw.

Examples:

` + "```sh\nlrun rm -f web\n```" + `

## Options

| flag | meaning |
|---|---|
` + "| `-e, --env list` | set a variable |\n" +
	"| `-f, --force` | kill first |\n" +
	"| `-h, --hostname NAME` | set the NAME inside (default \"box\") |\n" +
	"| `-n, --last int` | show a number (default -1) |\n" +
	"| `--wait duration` | wait |\n"

func TestPages(t *testing.T) {
	pages := Pages(newTestApp().App)
	names := slices.Sorted(maps.Keys(pages))
	if got := strings.Join(names, " "); got != "README.md container-prune.md image-prune.md ps.md rm.md run.md tag.md" {
		t.Errorf("got %s", got)
	}
	if pages["rm.md"] != wantPage {
		t.Errorf("got\n%s\nwant\n%s", pages["rm.md"], wantPage)
	}
	if !strings.Contains(pages["README.md"], "| [`lrun container prune`](container-prune.md) | record a call |\n") {
		t.Errorf("got\n%s", pages["README.md"])
	}
}

func TestMarkdownText(t *testing.T) {
	tests := []struct{ in, want string }{
		{"a <b>\nc", "a &lt;b>\nc\n"},
		{"a:\n  b | c\n  d\nthen", "a:\n\n```sh\nb | c\nd\n```\nthen\n"},
	}
	for _, tt := range tests {
		if got := markdownText(tt.in); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	if got := cell("a|b\n<c>"); got != `a\|b &lt;c>` {
		t.Errorf("got %q", got)
	}
}
