package unpack

import (
	"errors"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

func TestParseName(t *testing.T) {
	long := strings.Repeat("n", maxComponent)
	for _, tt := range []struct {
		raw  string
		want name
	}{
		{"a", name{"", "a", adds}},
		{"a/b/c", name{"a/b", "c", adds}},
		{"./a/", name{"", "a", adds}},
		{"/a", name{"", "a", adds}},
		{"//a//b//", name{"a", "b", adds}},
		{"../../a", name{"", "a", adds}},
		{"a/../../b", name{"", "b", adds}},
		{"a/../..", name{}},
		{"", name{}},
		{".", name{}},
		{"/", name{}},
		{"a\nb/\xff\xfe", name{"a\nb", "\xff\xfe", adds}},
		{long + "/" + long, name{long, long, adds}},
		{"..a", name{"", "..a", adds}},
		{".wh.a", name{"", "a", removes}},
		{"d/.wh.a", name{"d", "a", removes}},
		{"d/.wh.a/", name{"d", "a", removes}},
		{"d/.wh.a/../b", name{"d", "b", adds}},
		{".wh...a", name{"", "..a", removes}},
		{".wh....", name{"", "...", removes}},
		{"d/.wh." + long, name{"d", long, removes}},
		{"a.wh.b", name{"", "a.wh.b", adds}},
		{".wh", name{"", ".wh", adds}},
		{".wh..wh..opq", name{"", "", isolates}},
		{"d/e/.wh..wh..opq", name{"d/e", "", isolates}},
		{".wh..wh.aufs", name{"", ".wh..wh.aufs", ignored}},
		{".wh..wh.plnk/1.2", name{".wh..wh.plnk", "1.2", ignored}},
		{"d/.wh..wh.orph/x/.wh.y", name{"d/.wh..wh.orph/x", ".wh.y", ignored}},
		{"d/.wh..wh.", name{"d", ".wh..wh.", ignored}},
		{".wh..wh..opq2", name{"", ".wh..wh..opq2", ignored}},
	} {
		t.Run(tt.raw, func(t *testing.T) {
			got, err := parseName(tt.raw)
			if err != nil || got != tt.want {
				t.Fatalf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func TestParseNameRefuses(t *testing.T) {
	for _, raw := range []string{
		".wh.", "d/.wh.", "d/.wh./", ".wh..", "d/.wh..", ".wh...", "d/.wh.../", ".wh.a/b", "d/.wh.a/b/c",
		".wh.n" + strings.Repeat("n", maxComponent), "a\x00b", strings.Repeat("n", maxComponent+1), "a/" + strings.Repeat("n", maxComponent+1) + "/b",
		strings.Repeat("d/", maxDepth) + "x", strings.Repeat(strings.Repeat("n", 250)+"/", 20),
	} {
		t.Run(raw[:min(len(raw), 20)], func(t *testing.T) {
			if got, err := parseName(raw); !errors.Is(err, errdefs.ErrInvalidArgument) {
				t.Fatalf("got %+v, %v", got, err)
			}
		})
	}
}

// FuzzWhiteoutName: no name leads out of the root or names a component that is none, and a whiteout never hides its
// own directory or the one above.
func FuzzWhiteoutName(f *testing.F) {
	for _, s := range []string{"a/b", ".wh.a", "d/.wh...", ".wh..wh..opq", "../.wh.x", "/.wh.", ".wh..wh.plnk/x", "\x00", "a//.wh..", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		n, err := parseName(raw)
		if err != nil {
			if !errors.Is(err, errdefs.ErrInvalidArgument) {
				t.Fatal(err)
			}
			return
		}
		if n.purpose == ignored {
			return
		}
		if n.parent != "" {
			for c := range strings.SplitSeq(n.parent, "/") {
				checkComponent(t, raw, c)
			}
		}
		if n.base != "" {
			checkComponent(t, raw, n.base)
		} else if n.purpose == removes {
			t.Fatalf("%q removes nothing", raw)
		}
		if n.purpose == adds && strings.HasPrefix(n.base, whiteoutPrefix) {
			t.Fatalf("%q would be made as a file", raw)
		}
	})
}

func checkComponent(t *testing.T, raw, c string) {
	t.Helper()
	if c == "" || c == "." || c == ".." || strings.ContainsAny(c, "/\x00") || len(c) > maxComponent {
		t.Fatalf("%q has the component %q", raw, c)
	}
}
