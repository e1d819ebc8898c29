package grammar

import (
	"strings"
	"testing"
)

func TestPieces(t *testing.T) {
	for _, p := range []struct {
		name    string
		is      func(string) bool
		yes, no []string
	}{
		{
			"domain", IsDomain,
			[]string{"docker.io", "localhost", "a", "A-b.C9", "host:5000", "10.0.0.1:1", "[::1]", "[fe80::1]:5000"},
			[]string{"", "-a", "a-", "a..b", ".a", "a_b", "host:", "host:x", "[]", "[::1", "[::1]5", "[::1]:", "[::g]", "a/b", "ü"},
		},
		{
			"path", IsPath,
			[]string{"a", "a/b/c9", "a.b", "a_b", "a__b", "a---b", "0"},
			[]string{"", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "-a", "a-", "a.", "_a", "a._b", "a b", "\xff", "ü"},
		},
		{
			"tag", IsTag,
			[]string{"latest", "V1.0_x-y", "_", strings.Repeat("t", 128)},
			[]string{"", ".a", "-a", "a/b", "a:b", "a b", "ü", strings.Repeat("t", 129)},
		},
		{"hexadecimal", IsHex, []string{"0", "0123456789abcdef"}, []string{"", "A", "g", "0x1", " 0"}},
		{"number", IsNumber, []string{"0", "5000"}, []string{"", "-1", "a", "1 "}},
		{"word", IsWord, []string{"linux", "x86_64", "v8", "a-b.c"}, []string{"", "Linux", "a/b", "a b", "ü", "a\n"}},
	} {
		t.Run(p.name, func(t *testing.T) {
			for _, s := range p.yes {
				if !p.is(s) {
					t.Errorf("%q is refused", s)
				}
			}
			for _, s := range p.no {
				if p.is(s) {
					t.Errorf("%q is taken", s)
				}
			}
		})
	}
}
