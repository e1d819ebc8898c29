package image

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"
)

const (
	hex64  = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	sha256 = "sha256:" + hex64
)

func ExampleParseReference() {
	for _, s := range []string{"busybox", "user/app:1.0", "localhost:5000/app", "quay.io/podman/hello"} {
		r, _ := ParseReference(s)
		r = r.WithDefaultTag()
		fmt.Println(r, r.Familiar())
	}
	_, err := ParseReference("@hello")
	fmt.Println(errors.Is(err, errdefs.ErrInvalidArgument))
	// Output:
	// docker.io/library/busybox:latest busybox:latest
	// docker.io/user/app:1.0 user/app:1.0
	// localhost:5000/app:latest localhost:5000/app:latest
	// quay.io/podman/hello:latest quay.io/podman/hello:latest
	// true
}

func ExampleReference_WithTag() {
	r, _ := ParseReference("docker.io/library/debian@" + sha256)
	r, _ = r.Repository().WithTag("12")
	fmt.Println(r.Familiar(), r.Name(), r.Tag())
	// Output: debian:12 docker.io/library/debian 12
}

// references are valid and invalid ones of every kind; they are the seeds of the fuzz test too.
var references = []string{
	"", "/", ":", "@", "a", "A", "a:b", "a:B", "a:", ":a", "a/", "/a", "a//b", "a/b/c", "busybox", "busybox:latest",
	"library/busybox", "docker.io/busybox", "docker.io/library/busybox", "docker.io/library/a/b", "index.docker.io/busybox",
	"index.docker.io/library/busybox:1", "docker.io", "docker.io/", "localhost", "localhost/a", "localhost/A", "localhost:5000/a",
	"localhost:5000", "localhost:x/a", "Foo/bar", "foo/Bar", "FOO.com/bar", "foo.com/BAR", "foo.com:80/bar:tag", "foo.com:/bar", "foo_bar.com/x",
	"foo_bar.com:8080/x", "foo__bar.baz/x:y", "-foo.com/x", "foo-.com/x", "foo..com/x", "1.2.3.4/x", "1.2.3.4:5/x", "[::1]/x", "[::1]:5000/x:t",
	"[::1]:/x", "[]/x", "[fe80::1%eth0]/x", "[FE80::A]/x", "[::1/x", "::1/x", "a.b", "a..b", "a._b", "a__b", "a___b", "a--b", "a---b", "a-", "-a",
	"_a", "a_", ".a", "a.", "a/.b", "a/b.", "a/-b", "xn--7o8h.com/x", "foo.com/xn--7o8h.com/x", "@hello", "a@", "a@sha256:", "a@" + sha256,
	"a:b@" + sha256, "a@" + sha256 + ":b", "a@sha256:" + strings.ToUpper(hex64), "a@SHA256:" + hex64, "a:t@SHA256:" + hex64, "a@md5:" + hex64,
	"a@sha256:" + hex64[:63], "a@sha512:" + hex64 + hex64, "a@sha384:" + hex64 + hex64[:32], "a@sha512:" + hex64, "a@b@" + sha256, sha256, hex64,
	hex64[:63], hex64 + "0", "a/" + hex64, hex64 + ":tag", strings.ToUpper(hex64), "a:" + strings.Repeat("t", 128), "a:" + strings.Repeat("t", 129),
	strings.Repeat("a", 247), strings.Repeat("a", 248), strings.Repeat("a", 255), "x/" + strings.Repeat("a", 253), "x/" + strings.Repeat("a", 254),
	"foo.com/" + strings.Repeat("a", 255), "foo.com/" + strings.Repeat("a", 256), "a:.t", "a:-t", "a:_t", "a:t.-_", "a b", "a\n", "a:b\n", "ä", "Ä/b",
	"a\xff", "\xff/a", "a/\xff", "é.com/a", "a:é", "a:b:c", "a:b/c", "a:5000/b", "a:5000/b:c", "K/a", "a.b_c/d", "A.b_c/d", "a_b/c", "A_b/c", "0", "0.0/0", "./a", "../a", "a/..",
	"docker.io:443/a", "DOCKER.io/a", "index.docker.io:443/a", "localhost.localdomain/a", "library/a:b", "docker.io/a/b", "a@b", "a:b@c", "a@:" + hex64,
}

func TestReferenceIsDockers(t *testing.T) {
	for _, s := range references {
		t.Run(s, func(t *testing.T) { sameAsOracle(t, s) })
	}
}

// fatalf is what both testing.T and rapid.T have.
type fatalf interface {
	Fatalf(format string, args ...any)
}

// sameAsOracle compares every observable of a reference with those of distribution/reference.
func sameAsOracle(t fatalf, s string) {
	got, err := ParseReference(s)
	want, wantErr := reference.ParseNormalizedNamed(s)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("ParseReference(%q) = %v, %v; Docker: %v, %v", s, got, err, want, wantErr)
	}
	if err != nil {
		if !errors.Is(err, errdefs.ErrInvalidArgument) || !got.IsZero() {
			t.Fatalf("ParseReference(%q) = %v, %v: not the zero one and errdefs.ErrInvalidArgument", s, got, err)
		}
		return
	}
	var tag string
	if tagged, ok := want.(reference.Tagged); ok {
		tag = tagged.Tag()
	}
	var d digest.Digest
	if digested, ok := want.(reference.Digested); ok {
		d = digested.Digest()
	}
	for _, c := range []struct{ what, got, want string }{
		{"String", got.String(), want.String()},
		{"Familiar", got.Familiar(), reference.FamiliarString(want)},
		{"Name", got.Name(), want.Name()},
		{"FamiliarName", got.FamiliarName(), reference.FamiliarName(want)},
		{"Domain", got.Domain(), reference.Domain(want)},
		{"Path", got.Path(), reference.Path(want)},
		{"Tag", got.Tag(), tag},
		{"Digest", got.Digest().String(), d.String()},
		{"WithDefaultTag", got.WithDefaultTag().String(), reference.TagNameOnly(want).String()},
		{"Repository", got.Repository().String(), reference.TrimNamed(want).String()},
	} {
		if c.got != c.want {
			t.Fatalf("ParseReference(%q).%s = %q; Docker: %q", s, c.what, c.got, c.want)
		}
	}
	again, err := ParseReference(got.String())
	if got.Domain() != "" && (err != nil || again != got) {
		t.Fatalf("ParseReference(%q) = %#v, %v; it came from %q, %#v", got.String(), again, err, s, got)
	}
}

func TestReferenceIsDockersProperty(t *testing.T) {
	piece := rapid.SampledFrom([]string{
		"a", "b0", "Z", "library", "localhost", "docker.io", "index.docker.io", "[::1]", "5000", "latest", hex64, sha256,
		"sha512:" + hex64 + hex64, ".", "_", "__", "-", "--", ":", ":", "@", "/", "/", "x.y", "é", " ", "%",
	})
	rapid.Check(t, func(t *rapid.T) {
		sameAsOracle(t, strings.Join(rapid.SliceOfN(piece, 0, 9).Draw(t, "pieces"), ""))
	})
}

func FuzzReference(f *testing.F) {
	for _, s := range references {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { sameAsOracle(t, s) })
}

func TestReferenceWith(t *testing.T) {
	r, err := ParseReference("a")
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"", ".a", "a b", strings.Repeat("a", 129), "a:b", "a@b"} {
		if got, err := r.WithTag(tag); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("WithTag(%q) = %v, %v", tag, got, err)
		}
	}
	for _, d := range []digest.Digest{"", "sha256:", "sha256:00", hex64, "md5:" + hex64} {
		if got, err := r.WithDigest(d); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("WithDigest(%q) = %v, %v", d, got, err)
		}
	}
	r, err = r.WithTag("t")
	if err != nil {
		t.Fatal(err)
	}
	if r, err = r.WithDigest(sha256); err != nil || r.String() != "docker.io/library/a:t@"+sha256 {
		t.Errorf("WithTag, WithDigest = %v, %v", r, err)
	}
	var zero Reference
	if !zero.IsZero() || zero.String() != "" || zero.Familiar() != "" || !zero.WithDefaultTag().IsZero() {
		t.Errorf("the zero reference is %q", zero)
	}
}

func TestReferenceErrors(t *testing.T) {
	for s, want := range map[string]string{
		"Foo":                    "must be lowercase",
		hex64:                    "64 hexadecimal digits",
		"":                       "empty",
		"a:?":                    `invalid tag "?"`,
		"a@sha256:1":             `invalid digest "sha256:1"`,
		"a//b":                   "invalid reference format",
		strings.Repeat("a", 256): "more than 255 characters",
	} {
		if _, err := ParseReference(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseReference(%q): %v; want %q in it", s, err, want)
		}
	}
}
