package image

import (
	"errors"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestResolve(t *testing.T) {
	id := func(hex string) digest.Digest { return digest.Digest("sha256:" + hex + hex64[len(hex):]) }
	rec := func(name string, image, repoDigest digest.Digest) Record {
		return Record{
			Ref: ref(t, name), Image: image, RepoDigest: repoDigest,
			Manifest: ocispec.Descriptor{Digest: digest.FromString(image.String()), Size: 1},
		}
	}
	moved := rec("", id("bb"), id("d2"))
	moved.Repository = "docker.io/library/app"
	records := []Record{
		rec("app:1", id("ab0"), id("d1")), rec("app:latest", id("ab0"), id("d1")), rec("abc", id("cc"), ""), moved,
		rec("ab", id("dd"), ""), rec("quay.io/app", id("abc"), id("d1")), rec("pin@"+id("d3").String(), id("ee"), ""),
	}
	for _, c := range []struct{ name, want string }{
		{"app", "app:latest ab0"},
		{"app:1", "app:1 ab0"},
		{"docker.io/library/app:1", "app:1 ab0"},
		{"app:2", "not found"},
		{"abc", "abc:latest cc"},
		{"ab", "ab:latest dd"},
		{"ab0", "app:1 ab0"},
		{"abc1", "not found"},
		{"abc3", "quay.io/app:latest abc"},
		{"a", "ambiguous"},
		{"b", " bb"},
		{"sha256:b", " bb"},
		{"sha256:bb2", " bb"},
		{"sha256:ab", "ambiguous"},
		{"sha256:0", "not found"},
		{id("cc").Encoded(), "abc:latest cc"},
		{id("cc").String(), "abc:latest cc"},
		{id("ff").Encoded(), "not found"},
		{id("ff").String(), "not found"},
		{"app@" + id("d1").String(), "app:1 ab0"},
		{"app:9@" + id("d1").String(), "app:1 ab0"},
		{"app@" + id("d2").String(), " bb"},
		{"quay.io/app@" + id("d1").String(), "quay.io/app:latest abc"},
		{"other@" + id("d1").String(), "not found"},
		{"app@" + id("ab0").String(), "app:1 ab0"},
		{"pin@" + id("d3").String(), "pin@" + id("d3").String() + " ee"},
		{"app@" + records[0].Manifest.Digest.String(), "app:1 ab0"},
		{"pin", "not found"},
		{"", "invalid"},
		{"Foo", "invalid"},
		{"@hello", "invalid"},
		{"BB", "invalid"},
		{"sha256:", "invalid"},
	} {
		got, err := resolve(records, c.name)
		text := got.Ref.Familiar() + " " + strings.TrimPrefix(got.Image.String(), "sha256:")
		switch {
		case errors.Is(err, errdefs.ErrNotFound):
			text = "not found"
		case errors.Is(err, errdefs.ErrInvalidArgument) && strings.Contains(err.Error(), "ambiguous"):
			text = "ambiguous"
		case errors.Is(err, errdefs.ErrInvalidArgument):
			text = "invalid"
		case err != nil:
			t.Fatal(err)
		}
		if !strings.HasPrefix(text, c.want) {
			t.Errorf("resolve(%q) = %s, %v; want %s", c.name, text, err, c.want)
		}
	}
	s, _ := testStore(t)
	if _, err := s.Resolve(t.Context(), "nothing"); !errors.Is(err, errdefs.ErrNotFound) || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("Resolve in an empty store: %v", err)
	}
}
