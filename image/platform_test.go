package image

import (
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/containerd/errdefs"
)

func ExampleParsePlatform() {
	for _, s := range []string{"linux/arm64/v8", "linux/x86_64", "linux/arm", "s390x"} {
		p, _ := ParsePlatform(s)
		fmt.Println(FormatPlatform(p))
	}
	// Output:
	// linux/arm64
	// linux/amd64
	// linux/arm/v7
	// linux/s390x
}

func TestParsePlatform(t *testing.T) {
	host := FormatPlatform(HostPlatform())
	for s, want := range map[string]string{
		"linux/amd64": "linux/amd64", "linux/amd64/v1": "linux/amd64", "linux/amd64/v3": "linux/amd64/v3", "Linux/ARM64": "linux/arm64",
		"linux/aarch64": "linux/arm64", "linux/arm/6": "linux/arm/v6", "linux/armhf": "linux/arm/v7", "linux/armel": "linux/arm/v6",
		"windows/amd64": "windows/amd64", "linux": host, runtime.GOARCH: host, "i386": "linux/386", "linux/arm64/v9": "linux/arm64/v9",
	} {
		got, err := ParsePlatform(s)
		if err != nil || FormatPlatform(got) != want {
			t.Errorf("ParsePlatform(%q) = %v, %v; want %s", s, FormatPlatform(got), err, want)
		}
	}
	for _, s := range []string{"", "/", "linux/", "/amd64", "linux/amd64/v1/x", "li nux/amd64", "linux/amd64,linux/arm", "ä/b", "linux/*"} {
		if got, err := ParsePlatform(s); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("ParsePlatform(%q) = %v, %v", s, got, err)
		}
	}
	if s := FormatPlatform(Platform{OS: "a\nb", Architecture: "c", Variant: "\x1b[2J"}); s != `"a\nb/c/\x1b[2J"` {
		t.Errorf("it can break a line: %s", s)
	}
	if s := FormatPlatform(Platform{}); s != "unknown/unknown" {
		t.Errorf("FormatPlatform of nothing = %q", s)
	}
}

func TestBest(t *testing.T) {
	for _, c := range []struct {
		want string
		have []string
		best int
	}{
		{"linux/amd64", []string{"linux/arm64", "linux/amd64"}, 1},
		{"linux/amd64", []string{"linux/386", "linux/amd64"}, 1},
		{"linux/amd64", []string{"linux/386"}, 0},
		{"linux/amd64", []string{"linux/amd64/v2", "linux/arm64"}, -1},
		{"linux/amd64/v3", []string{"linux/amd64", "linux/amd64/v2", "linux/amd64/v4"}, 1},
		{"linux/amd64", []string{"linux/amd64/v1", "linux/amd64"}, 0},
		{"linux/amd64", []string{"windows/amd64"}, -1},
		{"linux/amd64", nil, -1},
		{"linux/arm64", []string{"linux/arm/v7", "linux/arm64/v8"}, 1},
		{"linux/arm64", []string{"linux/arm/v5", "linux/arm/v7"}, 1},
		{"linux/arm64/v9", []string{"linux/arm64"}, 0},
		{"linux/arm64", []string{"linux/arm64/v9"}, -1},
		{"linux/arm/v6", []string{"linux/arm/v7", "linux/arm/v5"}, 1},
		{"linux/arm", []string{"linux/arm/v8", "linux/arm/v6"}, 1},
		{"linux/s390x", []string{"linux/ppc64le", "linux/s390x"}, 1},
		{"linux/386", []string{"linux/amd64"}, -1},
		{"linux/amd64", []string{"unknown/unknown"}, -1},
	} {
		want, err := ParsePlatform(c.want)
		if err != nil {
			t.Fatal(err)
		}
		var have []Platform
		for _, s := range c.have {
			p, err := ParsePlatform(s)
			if err != nil {
				t.Fatal(err)
			}
			have = append(have, p)
		}
		if got := Best(want, have); got != c.best {
			t.Errorf("Best(%s, %v) = %d, want %d", c.want, c.have, got, c.best)
		}
	}
	// As written by tools that leave the variant away, or write it.
	if !Match(Platform{OS: "linux", Architecture: "arm64"}, Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}) ||
		!Match(HostPlatform(), HostPlatform()) || Match(HostPlatform(), Platform{}) {
		t.Error("Match does not see through spellings")
	}
}

func TestIsFor(t *testing.T) {
	have := Platform{OS: "linux", Architecture: "arm", Variant: "v6"}
	for _, c := range []struct {
		asked Platform
		want  bool
	}{
		{have, true},
		{Platform{OS: "linux", Architecture: "arm"}, true},
		{Platform{OS: "linux", Architecture: "arm", Variant: "v7"}, false},
		{Platform{OS: "linux", Architecture: "arm64"}, false},
		{Platform{OS: "windows", Architecture: "arm", Variant: "v6"}, false},
	} {
		if got := IsFor(c.asked, have); got != c.want {
			t.Errorf("IsFor(%v) = %v", c.asked, got)
		}
		if got := IsFor(c.asked, Platform{OS: "Linux", Architecture: "ARM", Variant: "V6"}); got != c.want {
			t.Errorf("IsFor(%v) of upper case = %v", c.asked, got)
		}
		if got := IsFor(c.asked, Platform{OS: "linux", Architecture: "armel"}); got != c.want {
			t.Errorf("IsFor(%v) of another name = %v", c.asked, got)
		}
	}
}
