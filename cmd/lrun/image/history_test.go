package image

import (
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lrun-dev/lrun/image"
)

func historyImage() testImage {
	at := func(d time.Duration) *time.Time {
		t := now().Add(-d)
		return &t
	}
	return testImage{
		refs: []string{"app:1"}, created: now().Add(-time.Hour), layers: 2,
		history: []ocispec.History{
			{Created: at(48 * time.Hour), CreatedBy: "/bin/sh -c #(nop) ADD file:0123456789abcdef0123456789abcdef in / ", Comment: "base"},
			{Created: at(47 * time.Hour), CreatedBy: "ENV\tA=1", EmptyLayer: true},
			{CreatedBy: "RUN echo \x1b[31mred"},
			{Created: at(time.Hour), CreatedBy: `CMD ["sh"]`, EmptyLayer: true, Comment: "buildkit.dockerfile.v0"},
		},
	}
}

func TestHistory(t *testing.T) {
	f := newFixture(t)
	f.put(t, historyImage())
	tests := map[string][]string{
		"table":    {"history", "app:1"},
		"whole":    {"image", "history", "--no-trunc", "app:1"},
		"bytes":    {"history", "--human=false", "app:1"},
		"quiet":    {"history", "-q", "app:1"},
		"json":     {"history", "--format", "json", "app:1"},
		"template": {"history", "--format", "{{.ID}} {{.CreatedAt}} {{.Size}}", "app:1"},
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) { golden(t, "history-"+name+".txt", f.succeed(t, args...)) })
	}
}

func TestHistoryRefuses(t *testing.T) {
	f := newFixture(t)
	f.fail(t, 1, "lrun: No such image: nope", "history", "nope")
	f.fail(t, 1, "lrun: 'lrun history' requires 1 argument; see 'lrun history --help'", "history")
}

func TestHistorySteps(t *testing.T) {
	layer := ocispec.History{CreatedBy: "a"}
	empty := ocispec.History{CreatedBy: "b", EmptyLayer: true}
	tests := []struct {
		name    string
		history []ocispec.History
		sizes   []int64
		want    []int64 // newest first
	}{
		{"as it should be", []ocispec.History{layer, empty, layer}, []int64{1, 2}, []int64{2, 0, 1}},
		{"no history", nil, []int64{1, 2}, []int64{2, 1}},
		{"no layers", []ocispec.History{empty}, nil, []int64{0}},
		{"history too short", []ocispec.History{layer}, []int64{1, 2, 3}, []int64{3, 2, 1}},
		{"history too long", []ocispec.History{layer, layer, layer}, []int64{1}, []int64{0, 0, 1}},
		{"only empty steps", []ocispec.History{empty, empty}, []int64{1}, []int64{1, 0, 0}},
		{"nothing", nil, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			im := historyOf(tt.history)
			steps := historySteps(im, tt.sizes, nil)
			if len(steps) != len(tt.want) {
				t.Fatalf("got %d steps", len(steps))
			}
			for i, s := range steps {
				if s.size != tt.want[i] || (s.id != "") != (i == 0) {
					t.Errorf("step %d: size %d, id %q", i, s.size, s.id)
				}
			}
		})
	}
}

func historyOf(h []ocispec.History) image.Image {
	return image.Image{ID: "sha256:x", Config: ocispec.Image{History: h}}
}

func TestBegins(t *testing.T) {
	at := time.Unix(5, 0)
	layer := ocispec.History{CreatedBy: "layer", Created: &at}
	empty := ocispec.History{CreatedBy: "empty", EmptyLayer: true}
	ids := []digest.Digest{digest.FromString("1"), digest.FromString("2")}
	config := func(layers int, steps ...ocispec.History) ocispec.Image {
		return ocispec.Image{History: steps, RootFS: ocispec.RootFS{DiffIDs: ids[:layers]}}
	}
	whole := config(2, layer, empty, layer)
	later := layer
	later.Created = nil
	for name, c := range map[string]struct {
		start ocispec.Image
		want  bool
	}{
		"the first step":   {config(1, layer), true},
		"two steps":        {config(1, layer, empty), true},
		"all of it":        {whole, false},
		"another step":     {config(1, empty), false},
		"another time":     {config(1, later), false},
		"more layers":      {ocispec.Image{History: whole.History[:1], RootFS: ocispec.RootFS{DiffIDs: append(ids[:2:2], ids[0])}}, false},
		"another layer":    {ocispec.Image{History: whole.History[:1], RootFS: ocispec.RootFS{DiffIDs: ids[1:]}}, false},
		"a longer history": {config(2, layer, empty, layer, layer), false},
	} {
		if got := begins(whole, c.start); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
