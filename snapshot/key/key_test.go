package key

import (
	"errors"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

func TestFileName(t *testing.T) {
	tests := []struct{ key, want string }{
		{"plain-Key_1", "plain-Key_1.json"},
		{"sha256:abc", "sha256:abc.json"},
		{"v1.2", "v1.2.json"},
		{".", "%2E.json"},
		{"..", "%2E..json"},
		{".hidden", "%2Ehidden.json"},
		{"../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd.json"},
		{"a b\nc", "a%20b%0Ac.json"},
		{"100%", "100%25.json"},
		{"#x", "%23x.json"},
		{"\x00\xff", "%00%FF.json"},
		{"é", "%C3%A9.json"},
		{strings.Repeat("x", maxEscaped), strings.Repeat("x", maxEscaped) + ".json"},
		// printf 'x%.0s' {1..241} | sha256sum
		{strings.Repeat("x", maxEscaped+1), "#7dbf05774ebc8b0213e8f74d789e344714ca95a03e019d92c8d48365045b7989.json"},
	}
	for _, tt := range tests {
		if got := FileName(tt.key); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.key, got, tt.want)
		}
	}
}

func TestUnescapeRefuses(t *testing.T) {
	for _, s := range []string{"%", "%4", "%zz", "%2e", "%41", ".x", "a/b", "#", "é"} {
		if got, err := Unescape(s); !errors.Is(err, errdefs.ErrDataLoss) {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
}

func TestCheckKey(t *testing.T) {
	for key, ok := range map[string]bool{"": false, "x": true, strings.Repeat("/", maxKey): true, strings.Repeat("x", maxKey+1): false} {
		if err := Check(key); (err == nil) != ok || !ok && !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%d bytes: %v", len(key), err)
		}
	}
}

// No key becomes a path or a hidden file, no two become one file, and a record tells its key.
func FuzzKeyFileName(f *testing.F) {
	for _, key := range []string{"", ".", "..", "a", "a/b", "%2F", "#", "x\x00y", "é", strings.Repeat("k", 300), "sha256:0123"} {
		f.Add(key, key+"x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if Check(a) != nil || Check(b) != nil {
			return
		}
		name := FileName(a)
		if strings.ContainsAny(name, "/\x00") || strings.HasPrefix(name, ".") || len(name) > 255 || !strings.HasSuffix(name, Suffix) {
			t.Errorf("%q becomes %q", a, name)
		}
		if a != b && name == FileName(b) {
			t.Errorf("%q and %q become %q", a, b, name)
		}
		if back, err := Unescape(escape(a)); back != a || err != nil {
			t.Errorf("%q comes back as %q, %v", a, back, err)
		}
		if back, err := Unescape(a); err == nil && escape(back) != a {
			t.Errorf("%q is read as %q, which is written %q", a, back, escape(back))
		}
	})
}
